"""A terminal event that the bus can not carry becomes one that says so."""

from typing import Any, Final

import orjson

from tokenbus_schemas import ErrorBody, ErrorCode, Event
from tokenbus_schemas.events import FAILED

FRAME_BYTES: Final = 1024
"""Room for the event's first two fields and the headers of a compare and set."""

_RESPONSE_FIELD: Final = b',"response":'
_TOO_LARGE: Final = ErrorBody(
    ErrorCode.OUTPUT_TOO_LARGE,
    "the answer, with the request it echoes, is over the bus's max_payload; its streamed events can still be replayed",
)


def without_output(terminal: Event) -> Event:
    """`response.failed` with code `output_too_large`: id, model and usage are kept, output and echoes are not."""
    response: dict[str, Any] = orjson.loads(terminal.fields.removeprefix(_RESPONSE_FIELD))
    emptied: dict[str, Any] = response | {
        "status": "failed",
        "error": _TOO_LARGE.to_wire(),
        "output": [],
        "instructions": None,
        "tools": [],
        "metadata": {},
        "text": {"format": {"type": "text"}},
    }
    return Event(FAILED, _RESPONSE_FIELD + orjson.dumps(emptied))
