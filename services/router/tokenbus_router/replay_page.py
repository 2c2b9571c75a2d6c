"""One page of a replay, put together from stored messages. Pure; lines are copied, never parsed or encoded.

Rules:

1. Numbers rise over a page. A line that does not rise was sent again, or comes late from an attempt that was overtaken.
2. The terminal event that RESULTS has is the end: it comes last, and no line of EVENTS in its place or after it.
3. A page ends before it would pass its limits, and says that more follows. It holds one line at least: nobody must be
   stuck behind a big one.
4. A line that no reply can carry is left out: its readers see a gap, and the terminal event heals it.
"""

import sys
from typing import Final, Literal

from tokenbus_schemas import EventLine, MalformedEventError, split_message
from tokenbus_schemas.replay import ReplayState

_FRAME_BYTES: Final = len(b'{"state":"streaming","more":false,"events":[]}')


NO_PAGE: Final = b'{"state":"unknown","more":false,"events":[]}'
"""Of a request that nobody knows."""


class PageBuilder:
    """Feed it the stored event messages in order, until it is full; then close it."""

    def __init__(
        self, *, after: int, limit: int, max_bytes: int, end: bytes | None, max_line_bytes: int = sys.maxsize
    ) -> None:
        """`after`: the last sequence number the caller has. `end`: the terminal event line of RESULTS, if any."""
        self._cursor = after
        self._limit = limit
        self._max_bytes = max_bytes
        self._max_line_bytes = max_line_bytes
        self._end = None if end is None else EventLine(end)
        self._wants_end = self._end is not None and self._end.sequence_number != after
        self._lines: list[bytes] = []
        self._bytes = _FRAME_BYTES
        self._ended = self._end is not None
        self._seen = False
        self.full = False
        """No further line fits: what else is stored belongs to the next page."""

    @property
    def empty(self) -> bool:
        """No stored event was seen, whatever its number."""
        return not self._seen

    def feed(self, message: bytes) -> None:
        """One stored event message; a message that holds no events is passed over."""
        try:
            lines = split_message(message)
        except MalformedEventError:
            return
        for line in lines:
            self._seen = True
            if self.full or line.sequence_number <= self._cursor or len(line.raw) > self._max_line_bytes:
                continue
            if self._end is not None and line.sequence_number >= self._end.sequence_number:
                continue
            self._ended = self._ended or line.is_terminal
            self._add(line)

    def close(self, *, otherwise: Literal["streaming", "queued", "unknown"]) -> bytes:
        """The reply. `otherwise`: the state of a request of which neither its end nor any event was seen."""
        if self._wants_end and self._end is not None and not self.full:
            self._add(self._end)
        state: ReplayState = "ended" if self._ended else "streaming" if self._seen else otherwise
        more = b"true" if self.full else b"false"
        return b'{"state":"%b","more":%b,"events":[%b]}' % (state.encode(), more, b",".join(self._lines))

    def _add(self, line: EventLine) -> None:
        size = len(line.raw) + 1
        if self._lines and (len(self._lines) == self._limit or self._bytes + size > self._max_bytes):
            self.full = True
            return
        self._lines.append(line.raw)
        self._bytes += size
        self._cursor = max(self._cursor, line.sequence_number)
