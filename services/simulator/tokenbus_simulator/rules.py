"""Rules: requests that one provider refuses though they are well formed.

A rule looks at the request as it was sent and names the parameter at fault. Which provider has which rules, and where
they are from, is in `profiles.py`.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.wire import JsonObject, is_object, object_of, objects_of


class Request(NamedTuple):
    """A request as a rule sees it."""

    body: JsonObject
    model: str
    thinking: bool
    """Whether the model reasons before it answers."""


Fault = Callable[[Request], str | None]
"""The parameter at fault, None where the rule is kept."""


class Rule(NamedTuple):
    """One thing a provider refuses."""

    about: str
    finds: Fault
    message: str
    """Its words; `{param}` is what `finds` gave, `{model}` the model, `{camel}` the parameter as protobuf spells it."""
    seen: str
    code: str | None = None
    type: str = "invalid_request_error"
    status: int = 400

    def check(self, request: Request) -> None:
        """Raises `RefusedError` where the rule is broken."""
        param = self.finds(request)
        if param is None:
            return
        message = self.message.format(param=param, model=request.model, camel=_camel(param))
        raise RefusedError(message, param=param, code=self.code, type=self.type, status=self.status)


def sends(*params: str) -> Fault:
    """The first of these parameters that is there and not null."""
    return lambda request: next((name for name in params if request.body.get(name) is not None), None)


def sends_other_than(param: str, value: object) -> Fault:
    """The parameter, where it has another value."""
    return lambda request: param if request.body.get(param) not in (None, value) else None


def both(first: str, *others: str) -> Fault:
    """One of the others, where the first is there as well."""
    return lambda request: sends(*others)(request) if request.body.get(first) else None


def of_models(*prefixes: str, finds: Fault, but: str = "\n") -> Fault:
    """`finds`, for models whose name begins so (behind the last slash) and does not contain `but`."""

    def found(request: Request) -> str | None:
        name = request.model.rpartition("/")[2]
        return finds(request) if name.startswith(prefixes) and but not in name else None

    return found


def in_messages(key: str, *, roles: tuple[str, ...] = ()) -> Fault:
    """The key, in a message of one of these roles, or of any."""

    def found(request: Request) -> str | None:
        for index, message in _messages(request):
            if key in message and (not roles or message.get("role") in roles):
                return f"messages.{index}"
        return None

    return found


def in_parts(kind: str) -> Fault:
    """A content part of this type."""

    def found(request: Request) -> str | None:
        for index, message in _messages(request):
            if any(part.get("type") == kind for part in objects_of(message.get("content"))):
                return f"messages[{index}].content"
        return None

    return found


def has_role(role: str) -> Fault:
    """A message of this role."""

    def found(request: Request) -> str | None:
        roles = ((index, message.get("role")) for index, message in _messages(request))
        return next((f"messages[{index}].role" for index, each in roles if each == role), None)

    return found


def asks_for(kind: str) -> Fault:
    """A response format of this type."""
    return lambda request: (
        "response_format" if object_of(request.body.get("response_format")).get("type") == kind else None
    )


def mixed_strict(request: Request) -> str | None:
    """Tools that differ in `strict`; absent counts as false."""
    values = {bool(object_of(tool.get("function")).get("strict")) for tool in objects_of(request.body.get("tools"))}
    return "tools" if len(values) > 1 else None


def thoughts_missing(request: Request) -> str | None:
    """While thinking: an assistant message with tool calls and without its reasoning."""
    for _, message in _messages(request) if request.thinking else ():
        if message.get("tool_calls") and "reasoning_content" not in message:
            return "reasoning_content"
    return None


def forces_while_thinking(request: Request) -> str | None:
    """While thinking: a tool choice that forces a call."""
    choice = request.body.get("tool_choice")
    return "tool_choice" if request.thinking and (choice == "required" or is_object(choice)) else None


def not_alternating(request: Request) -> str | None:
    """Two messages of user or assistant in a row, or a system message after one of them."""
    roles = [str(message.get("role")) for _, message in _messages(request)]
    while roles and roles[0] == "system":
        roles.pop(0)
    repeated = any(one == other for one, other in pairwise(roles) if one in _SPEAKERS)
    return "messages" if repeated or "system" in roles else None


def ends_with_assistant(request: Request) -> str | None:
    """A last message that is neither the user's nor a tool's."""
    roles = [message.get("role") for _, message in _messages(request)]
    return "messages" if roles and roles[-1] not in ("user", "tool") else None


_SPEAKERS: Final = ("user", "assistant")


def _messages(request: Request) -> Iterator[tuple[int, JsonObject]]:
    return enumerate(objects_of(request.body.get("messages")))


def _camel(param: str) -> str:
    first, *others = param.split("_")
    return first + "".join(word.capitalize() for word in others)
