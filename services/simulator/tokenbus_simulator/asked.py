"""What a request asks of the model, whichever API it came through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

Speaker = Literal["user", "tool", "other"]
AnyBody = TypeVar("AnyBody", bound=BaseModel)


class BadRequestError(ValueError):
    """A request the simulator refuses with 400, as OpenAI would; the message never quotes a value."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class Tool(NamedTuple):
    """A function the model may call."""

    name: str
    parameters: Mapping[str, object]


class Turn(NamedTuple):
    """The end of the conversation: the last user message and what tools gave since."""

    user_text: str
    tool_outputs: tuple[str, ...]
    tool_rounds: int
    """Groups of tool outputs since the last user message; parallel calls are one group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in the simulator's own words."""

    stream: bool
    turn: Turn
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the function to call."""
    parallel_tool_calls: bool = True
    choices: int = 1
    max_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    obfuscation: bool = False
    input_characters: int = 0


def read_body(kind: type[AnyBody], body: object) -> AnyBody:
    """`body` as a `kind`; the first thing wrong with it raises `BadRequestError` as OpenAI words it."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        param = ".".join(str(step) for step in problem["loc"]) or None
        if problem["type"] == "extra_forbidden":
            raise BadRequestError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter") from None
        if problem["type"] == "missing":
            raise BadRequestError(
                f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            ) from None
        raise BadRequestError(f"Invalid value for '{param}': {problem['msg']}.", param=param) from None


def read_turn(said: Iterable[tuple[Speaker, str]]) -> Turn:
    """The end of a conversation told in order."""
    user_text, outputs, rounds, before = "", list[str](), 0, "other"
    for speaker, text in said:
        if speaker == "user":
            user_text, outputs, rounds = text, [], 0
        elif speaker == "tool":
            outputs.append(text)
            rounds += before != "tool"
        before = speaker
    return Turn(user_text, tuple(outputs), rounds)
