"""Events that the bus can not carry, made lighter. Pure.

the echo of the request goes first: instructions, tools and the like, which the caller knows
a terminal event that is still too large becomes `response.failed` without output, which says so
any other event is left out by the publisher; readers see a gap, and the terminal event heals it
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from tokenbus_schemas import ErrorBody, ErrorCode, Event
from tokenbus_schemas.events import FAILED

FRAME_BYTES: Final = 1024
"""Room for the event's first two fields, and for the headers of a compare and set or the frame of a replay."""

_RESPONSE_FIELD: Final = b',"response":'
_NO_ECHO: Final[Mapping[str, object]] = MappingProxyType(
    {"instructions": None, "tools": [], "tool_choice": "auto", "metadata": {}, "text": {"format": {"type": "text"}}}
)
_TOO_LARGE: Final = ErrorBody(
    ErrorCode.OUTPUT_TOO_LARGE, "the answer is over the bus's max_payload; its streamed events can still be replayed"
)


def without_echo(event: Event) -> Event | None:
    """The event with what its response echoes of the request left out, and named in `tokenbus.left_out`.

    None for an event without a response.
    """
    if not event.fields.startswith(_RESPONSE_FIELD):
        return None
    response: dict[str, Any] = orjson.loads(event.fields.removeprefix(_RESPONSE_FIELD))
    left_out = [name for name, nothing in _NO_ECHO.items() if response.get(name) != nothing]
    said = {**response, **_NO_ECHO, "tokenbus": {**response["tokenbus"], "left_out": left_out}}
    return Event(event.type, _RESPONSE_FIELD + orjson.dumps(said))


def fitted_terminal(terminal: Event, *, max_payload: int) -> Event:
    """The terminal event, or the lightest change of it that the bus carries."""
    limit = max_payload - FRAME_BYTES
    if len(terminal.fields) <= limit:
        return terminal
    lighter = without_echo(terminal)
    if lighter is None or len(lighter.fields) <= limit:
        return lighter or terminal
    response: dict[str, Any] = orjson.loads(lighter.fields.removeprefix(_RESPONSE_FIELD))
    failed: dict[str, Any] = {
        **response,
        "status": "failed",
        "error": _TOO_LARGE.to_wire(),
        "output": [],
        "completed_at": None,
    }
    return Event(FAILED, _RESPONSE_FIELD + orjson.dumps(failed))
