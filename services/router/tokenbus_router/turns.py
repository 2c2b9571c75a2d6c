"""Whether the messages of a request take turns, for providers that insist on it.

System messages come first; then no speaker speaks twice in a row, and the last word is not the assistant's. What an
assistant says and calls in a row is one message by the time it reaches a provider, whatever it was in the request.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tokenbus_schemas.requests import ChatRequest

_INSTRUCTORS: Final = frozenset({"system", "developer"})
_TOOLS: Final = frozenset({"tool", "function"})


def out_of_turn(request: ChatRequest) -> str | None:
    """The path of the first message that is out of turn."""
    before, last = "system", None
    for path, speaker in _speakers(request):
        if (speaker == "system" != before) or (speaker == "user" == before):
            return path
        before, last = speaker, path
    return last if before == "assistant" else None


def _speakers(request: ChatRequest) -> Iterator[tuple[str, str]]:
    """Who speaks where: system, user, assistant or tool."""
    for index, message in enumerate(request.messages or ()):
        yield f"messages[{index}]", _role(message)
    for index, item in enumerate(request.input if isinstance(request.input, list) else ()):
        yield f"input[{index}]", _speaker(item)


def _role(message: Mapping[str, object]) -> str:
    role = message.get("role")
    return "system" if role in _INSTRUCTORS else "tool" if role in _TOOLS else str(role)


def _speaker(item: Mapping[str, object]) -> str:
    kind = str(item.get("type") or "message")
    if kind == "message":
        return _role(item)
    return "tool" if kind.endswith("_output") else "assistant"
