"""JSON and frames: the events of a stream before they become bytes, and their form as server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (2026-08).
"""

from typing import Final, NamedTuple, TypeAlias, TypeGuard

JsonObject: TypeAlias = dict[str, object]


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Whether a parsed JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether a parsed JSON value is an array."""
    return isinstance(value, list)


def object_of(value: object) -> JsonObject:
    """The value if it is an object, else an empty one."""
    return value if is_object(value) else {}


def objects_of(value: object) -> list[JsonObject]:
    """The objects in an array; none where it is no array."""
    return [each for each in value if is_object(each)] if is_list(value) else []


class Frame(NamedTuple):
    """One event: the SSE event name (b"" for none), the JSON text, and how many tokens it carries."""

    name: bytes
    data: bytes
    tokens: int = 0


DONE: Final = Frame(b"", b"[DONE]")
"""What ends every Chat Completions stream; Open Responses demands it too, OpenAI's Responses API does not send it."""


class SseStyle(NamedTuple):
    """How a server writes its events; some name them only inside the JSON, some end lines with CRLF."""

    event_lines: bool = True
    newline: bytes = b"\n"


def encode(frame: Frame, *, style: SseStyle) -> bytes:
    """The frame as one server-sent event."""
    newline = style.newline
    if frame.name and style.event_lines:
        return b"event: %b%bdata: %b%b%b" % (frame.name, newline, frame.data, newline, newline)
    return b"data: %b%b%b" % (frame.data, newline, newline)
