"""What an answer is made of, before it takes an API's shape."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from tokenbus_simulator.provider_tools import Citation, ProviderTool

Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thoughts before the answer, the summary apart from the text."""

    summary: tuple[str, ...]
    text: tuple[str, ...]


class Cited(NamedTuple):
    """A citation, and how many tokens of the text come before it."""

    after: int
    citation: Citation


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text for the user."""

    tokens: tuple[str, ...]
    cited: tuple[Cited, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines, in words."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call; the tokens are pieces of the arguments' JSON text."""

    name: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A call that the provider makes and answers itself; the tokens are what the model writes for it, such as code."""

    tool: ProviderTool
    tokens: tuple[str, ...]


Part: TypeAlias = Reasoning | Text | Refusal | FunctionCall | ProviderCall
"""What a choice is made of. A new kind of output is a new member and a case in each shape."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One alternative answer."""

    parts: tuple[Part, ...]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as both APIs count them; output includes reasoning."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """All choices of one request and what they cost."""

    choices: tuple[Choice, ...]
    usage: Usage
