"""What a request asks of the model, whichever API it came through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from tokenbus_simulator.wire import JsonObject, is_list, is_object

Speaker = Literal["user", "tool", "other"]
AnyBody = TypeVar("AnyBody", bound=BaseModel)


class RefusedError(ValueError):
    """A request the simulator refuses, as the provider would; the message never quotes what was said in it."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        type: str = "invalid_request_error",  # the wire's word
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.type = type


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
    attachments: tuple[str, ...] = ()
    """Images and files in the last user message, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in the simulator's own words."""

    stream: bool
    turn: Turn
    tools: tuple[Tool, ...] = ()
    provider_tools: tuple[JsonObject, ...] = ()
    """Tools that run at the provider, as the request names them; each has a `type`."""
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the function's name or the provider tool's type to call."""
    parallel_tool_calls: bool = True
    max_tool_calls: int | None = None
    """Most calls of provider tools."""
    choices: int = 1
    max_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    include: frozenset[str] = frozenset()
    schema: JsonObject | None = None
    """The answer is to be JSON that fits this; any object if it is empty."""
    obfuscation: bool = False
    input_characters: int = 0


def read_body(kind: type[AnyBody], body: object) -> AnyBody:
    """`body` as a `kind`; the first thing wrong with it raises `RefusedError` as OpenAI words it."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        param = _path(problem["loc"], body)
        if problem["type"] == "extra_forbidden":
            raise RefusedError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter") from None
        if problem["type"] == "missing":
            raise missing(param) from None
        raise RefusedError(f"Invalid value for '{param}': {problem['msg']}.", param=param) from None


def missing(param: str | None) -> RefusedError:
    """The refusal of a request that lacks a parameter."""
    return RefusedError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unsupported(value: object, *, param: str, supported: Iterable[str]) -> RefusedError:
    """The refusal of a value that is none of a list; only for names such as types and roles, which it quotes."""
    *names, last = [f"'{name}'" for name in supported]
    listed = f"{', '.join(names)}{',' if len(names) > 1 else ''} and {last}" if names else last
    verb = "are" if names else "is"
    message = f"Invalid value: '{value}'. Supported values {verb}: {listed}."
    return RefusedError(message, param=param, code="invalid_value")


def read_turn(said: Iterable[tuple[Speaker, str]], *, attachments: Iterable[str] = ()) -> Turn:
    """The end of a conversation told in order."""
    user_text, outputs, rounds, before = "", list[str](), 0, "other"
    for speaker, text in said:
        if speaker == "user":
            user_text, outputs, rounds = text, [], 0
        elif speaker == "tool":
            outputs.append(text)
            rounds += before != "tool"
        before = speaker
    return Turn(user_text, tuple(outputs), rounds, tuple(attachments))


def _path(steps: tuple[int | str, ...], body: object) -> str | None:
    """Where in the body a problem is: `messages[0].role`. What pydantic adds for members of a union is left out."""
    path, value = "", body
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
            value = value[step] if is_list(value) and step < len(value) else None
        elif is_object(value) and (step in value or step == steps[-1]):
            path += f".{step}" if path else step
            value = value.get(step)
    return path or None
