"""Response events on the bus: the OpenAI Responses stream vocabulary, one JSON object per line.

Two rules make this fast and safe to read in any language:

1. `type` and `sequence_number` are the first two keys of every event, in that order. A reader that only routes, orders
   or counts never parses JSON: both stand in a prefix of known shape.
2. An *event message* is one or more whole events that arrived together, joined by newlines. JSON escapes newlines, so
   splitting bytes at `\\n` is exact.

`sequence_number` is `(attempt - 1) * ATTEMPT_STRIDE + n` with n = 0, 1, 2, … inside an attempt: contiguous, and one
integer serves as a cursor over all attempts.

Vocabulary: https://www.openresponses.org/specification (2026-04-24) and OpenAI's Responses streaming reference; what
Tokenbus adds is prefixed `tokenbus:`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from pydantic_core import from_json

ATTEMPT_STRIDE: Final = 2**20
"""Sequence numbers of one attempt: more events than any answer has; 2^33 attempts still fit 53 bits."""

COMPLETED: Final = "response.completed"
INCOMPLETE: Final = "response.incomplete"
FAILED: Final = "response.failed"
TERMINAL_TYPES: Final = frozenset({COMPLETED, INCOMPLETE, FAILED})
"""Exactly one event of these types ends every accepted request. A cancelled response is `response.incomplete` whose
`response.status` is `cancelled`; no `response.cancelled` event exists in the vocabulary."""

_PREFIX: Final = b'{"type":"'
_TYPE_END: Final = b'","sequence_number":'
_DIGITS: Final = frozenset(b"0123456789")


class Event(NamedTuple):
    """An event that has no sequence number yet: what translators produce and the publisher numbers."""

    type: str
    fields: bytes
    """JSON text of all other fields, each led by a comma: `,"item_id":"msg_1","output_index":0`; may be empty."""


class MalformedEventError(ValueError):
    """A line that is no event: it does not start with `type` and `sequence_number`, or is not JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"not an event line: {problem}")


class EventLine:
    """A typed, lazy view of one event as it stands on the wire.

    Reading `type` and `sequence_number` costs a prefix scan; `data` parses the JSON once, when first asked for.
    """

    __slots__ = ("_data", "raw", "sequence_number", "type")

    def __init__(self, raw: bytes) -> None:
        """Raises `MalformedEventError` unless `raw` starts as rule 1 says; the rest is not looked at yet."""
        type_end = raw.find(b'"', 9)
        number_start = type_end + 20
        if raw[:9] != _PREFIX or type_end < 0 or raw[type_end:number_start] != _TYPE_END:
            raise MalformedEventError("`type` and `sequence_number` must be its first two keys, without spaces")
        number_end = number_start
        size = len(raw)
        while number_end < size and raw[number_end] in _DIGITS:
            number_end += 1
        if number_end == number_start:
            raise MalformedEventError("`sequence_number` must be a non-negative integer")
        self.raw = raw
        try:
            self.type = raw[9:type_end].decode()
        except UnicodeDecodeError as error:
            raise MalformedEventError("`type` must be UTF-8") from error
        self.sequence_number = int(raw[number_start:number_end])
        self._data: dict[str, Any] | None = None

    @property
    def data(self) -> Mapping[str, Any]:
        """All fields, parsed. Raises `MalformedEventError` where the line is not a JSON object."""
        if self._data is None:
            try:
                parsed = from_json(self.raw)
            except ValueError as error:
                raise MalformedEventError(str(error)) from error
            if not isinstance(parsed, dict):
                raise MalformedEventError("not a JSON object")
            self._data = cast("dict[str, Any]", parsed)
        return self._data

    @property
    def attempt(self) -> int:
        """Which attempt published this event: 1, 2, …"""
        return self.sequence_number // ATTEMPT_STRIDE + 1

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL_TYPES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventLine) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"EventLine({self.type} #{self.sequence_number})"  # the content stays out of logs


def encode(event: Event, sequence_number: int) -> bytes:
    """The event as one line, without a newline."""
    return b'{"type":"%b","sequence_number":%d%b}' % (event.type.encode(), sequence_number, event.fields)


def encode_message(events: Iterable[Event], *, first: int) -> bytes:
    """An event message: `events` numbered upward from `first`, one per line, without a final newline."""
    return b"\n".join([encode(event, number) for number, event in enumerate(events, first)])


def split_message(payload: bytes) -> list[EventLine]:
    """The events of one message, in order. Raises `MalformedEventError`; an empty payload has no events."""
    return [EventLine(line) for line in payload.split(b"\n") if line]
