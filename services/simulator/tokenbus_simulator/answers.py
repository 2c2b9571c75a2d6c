"""Answers: what the model says, from a script and a request, before it takes an API's shape.

The only magic: a request whose last user message names one of its tools gets a call of that tool, as does
`tool_choice` `required` or a named function; arguments are made up from the schema. Once the outputs are in, the
answer is text. Everything else is as the script says, and the same on every run.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tokenbus_simulator.arguments import example_arguments
from tokenbus_simulator.asked import Asked
from tokenbus_simulator.script import Call, Finish, Script
from tokenbus_simulator.tokens import estimate, filler, split

_QUOTED_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thoughts before the answer, the summary apart from the text."""

    summary: tuple[str, ...]
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text for the user."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines, in words."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call; the tokens are pieces of the arguments' JSON text."""

    name: str
    tokens: tuple[str, ...]


Part: TypeAlias = Reasoning | Text | Refusal | FunctionCall
"""What a choice is made of. A new kind of output (a provider tool's call) is a new member and a case in each shape."""


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


def answer(script: Script, *, asked: Asked) -> Answer:
    """What the simulator answers to `asked` under `script`."""
    calls = _calls(script, asked)
    choices = tuple(_choice(script, asked, calls, index) for index in range(asked.choices))
    thoughts = [len(part.summary) + len(part.text) for c in choices for part in c.parts if isinstance(part, Reasoning)]
    spoken = [len(part.tokens) for c in choices for part in c.parts if not isinstance(part, Reasoning)]
    return Answer(
        choices,
        Usage(estimate(asked.input_characters), sum(thoughts) + sum(spoken), sum(thoughts)),
    )


def _choice(script: Script, asked: Asked, calls: tuple[Call, ...], index: int) -> Choice:
    parts = list[Part]()
    if script.reasoning or script.summary:
        parts.append(Reasoning(filler(script.summary), filler(script.reasoning)))
    if script.refusal is not None:
        parts.append(Refusal(split(script.refusal)))
    elif script.text is not None or script.tokens is not None or not calls:
        parts.append(Text(_text(script, asked, index)))
    schemas = {tool.name: tool.parameters for tool in asked.tools}
    for call in calls:
        arguments = call.arguments
        if arguments is None:
            arguments = example_arguments(schemas.get(call.name, {}))
        parts.append(FunctionCall(call.name, split(arguments)))
    if asked.max_tokens is None:
        return Choice(tuple(parts), script.finish)
    return _limited(parts, script.finish, asked.max_tokens)


def _calls(script: Script, asked: Asked) -> tuple[Call, ...]:
    turn = asked.turn
    if asked.tool_choice == "none" or turn.tool_rounds >= script.rounds:
        return ()
    calls = script.calls or tuple(Call(name) for name in _chosen_tools(asked))
    return calls if asked.parallel_tool_calls else calls[:1]


def _chosen_tools(asked: Asked) -> Iterable[str]:
    names = [tool.name for tool in asked.tools]
    named = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked.turn.user_text)]
    if asked.tool_choice == "required":
        return named or names[:1]
    return named if asked.tool_choice == "auto" else [asked.tool_choice]


def _text(script: Script, asked: Asked, index: int) -> tuple[str, ...]:
    if script.text is not None:
        return split(script.text)
    if script.tokens is not None:
        return filler(script.tokens)
    if script.echo:
        return split(asked.turn.user_text)
    return split(_pleasantry(asked) + (f" (Choice {index + 1}.)" if index else ""))


def _pleasantry(asked: Asked) -> str:
    turn = asked.turn
    if turn.tool_outputs:
        return f"The tool answered: {_quoted(turn.tool_outputs[-1])} Glad I could look that up for you."
    about = f"You wrote: {_quoted(turn.user_text)} " if turn.user_text else "You wrote nothing yet. "
    return (
        f"{about}This is the simulator speaking, so no model has thought about it, but every word you see came the way "
        "a real answer takes, token by token."
    )


def _quoted(text: str) -> str:
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 1] + "…"
    return f"“{shown}”"


def _limited(parts: Iterable[Part], finish: Finish, budget: int) -> Choice:
    """The parts as far as `budget` tokens go; the finish is `length` where that is not all."""
    kept, cut_off = list[Part](), False

    def take(tokens: tuple[str, ...]) -> tuple[str, ...]:
        nonlocal budget, cut_off
        taken = tokens[:budget]
        budget -= len(taken)
        cut_off = cut_off or len(taken) < len(tokens)
        return taken

    for part in parts:
        if cut_off:
            break
        kept.append(_shortened(part, take))
    return Choice(tuple(kept), "length" if cut_off else finish)


def _shortened(part: Part, take: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Part:
    match part:
        case Reasoning():
            return Reasoning(take(part.summary), take(part.text))
        case Text():
            return Text(take(part.tokens))
        case Refusal():
            return Refusal(take(part.tokens))
        case FunctionCall():
            return FunctionCall(part.name, take(part.tokens))
