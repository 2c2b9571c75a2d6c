"""Puts the events of one answer in order, whatever the live path and the replay service lose, repeat or swap.

Rules of this file: no await, no clock, no network. Whoever reads the bus feeds lines in and asks for a replay as long
as `missing_after` is not None.

The order rests on `sequence_number` alone (`tokenbus_schemas.events`: contiguous within an attempt, and every attempt
has numbers of its own). With `cursor` the last number handed out, a line numbered

- `cursor + 1` is next;
- at most `cursor` is a duplicate, or comes from an attempt that was overtaken: dropped;
- further on, inside an attempt, shows a *gap*: it is held until a replay fills the numbers between, or until `skip()`
  gives them up. Then a `tokenbus:response.gap` event stands in their place, so no loss is silent;
- at the base of a later attempt shows a *seam*. It is no gap: how many events the attempt before it published, nobody
  can tell from numbers. But its last ones may have been lost on the way, so the line is held until one replay has
  answered with anything of the later attempt: what is stored of the earlier one then stands before it.

A later attempt may go on with the very stream of an earlier one (`tokenbus:response.resumed`). Whatever was handed out
beyond the event that it goes on from stands at the same places behind it, and is passed over there; whatever is missing
up to that event is a gap.

A snapshot stands for all events up to its number (`join()`).

A terminal event is never a duplicate while the answer is open, whatever its number: an answer has exactly one.
"""

from collections.abc import Iterable
from typing import Final

from tokenbus_schemas import ATTEMPT_STRIDE, TERMINAL_TYPES, Event, EventLine, encode
from tokenbus_schemas.vocabulary import RESUMED

GAP_TYPE: Final = "tokenbus:response.gap"
"""Made by the reader, never sent: these events were lost for good. Fields: `first_missing` and `last_missing`, both
inclusive; its `sequence_number` is `last_missing`, so that it can serve as a cursor like any other."""

HELD_LINES: Final = 4096
"""How many live lines may wait behind a gap. Further ones are dropped and asked for again by replay."""


class Sequencer:
    """Ordered, gap-aware view of one answer. `feed()` takes live lines, `fill()` takes replayed ones."""

    def __init__(self, *, after: int = -1, held_lines: int = HELD_LINES) -> None:
        """`after`: the last sequence number that the reader already has; -1 for none."""
        self.cursor = after
        """The last sequence number handed out, or given up."""
        self.ended = False
        """The terminal event was handed out; nothing follows."""
        self._held: dict[int, EventLine] = {}
        self._held_lines = held_lines
        self._in_doubt = False
        self._last_before_seam = after

    @property
    def missing_after(self) -> int | None:
        """Ask the replay service for what follows this number; None: as far as is known, nothing is missing."""
        return self.cursor if not self.ended and (self._held or self._in_doubt) else None

    @property
    def has_gap(self) -> bool:
        """Lines are held because numbers before them are missing."""
        return bool(self._held)

    def doubt(self) -> None:
        """Something may have been lost and nothing shows it: a reconnect, a dropped buffer, a long silence."""
        self._in_doubt = not self.ended

    def feed(self, lines: Iterable[EventLine]) -> list[EventLine]:
        """Lines of the live path, in any order; returns what is next in order."""
        ready: list[EventLine] = []
        for line in lines:
            if line.sequence_number == self.cursor + 1 and not self.ended:
                self._hand_out(line, ready=ready)
                if self._held:
                    self._held.pop(line.sequence_number, None)
                    self._advance(ready)
            elif len(self._held) < self._held_lines or line.type in TERMINAL_TYPES:
                self._place(line, ready=ready)
            else:
                self.doubt()
        return ready

    def fill(self, lines: Iterable[EventLine], *, more: bool) -> list[EventLine]:
        """A page that answers `missing_after`; `more`: another page follows it. Returns what is next in order."""
        ready: list[EventLine] = []
        stored_up_to = -1
        for line in lines:
            self._place(line, ready=ready)
            stored_up_to = max(stored_up_to, line.sequence_number)
        self._advance(ready)
        while self._held and (edge := min(self._held)) <= stored_up_to and self._is_seam(edge):
            self._cross(edge)
            self._advance(ready)
        if not more:
            self._in_doubt = False
        return ready

    def join(self, line: EventLine) -> list[EventLine]:
        """A line that stands for all before it, a snapshot or the terminal event, to who wants no more of those."""
        if self.ended or line.sequence_number <= self.cursor:
            return []
        self.cursor = line.sequence_number - 1
        self._held = {number: held for number, held in self._held.items() if number > line.sequence_number}
        ready: list[EventLine] = []
        self._hand_out(line, ready=ready)
        self._advance(ready)
        return ready

    def skip(self) -> list[EventLine]:
        """Gives up what is missing before the first held line; returns a gap event and what follows it.

        Between two attempts the gap names the numbers of the later one only; those of the earlier have no known end.
        """
        if not self._held:
            return []
        ready: list[EventLine] = []
        edge = min(self._held)
        if not self._is_seam(edge):
            ready.append(_gap(max(self.cursor + 1, edge - edge % ATTEMPT_STRIDE), edge - 1))
        self._cross(edge)
        self._advance(ready)
        return ready

    def _cross(self, edge: int) -> None:
        self._last_before_seam = self.cursor
        self.cursor = edge - 1

    def _is_seam(self, edge: int) -> bool:
        return edge % ATTEMPT_STRIDE == 0

    def _place(self, line: EventLine, *, ready: list[EventLine]) -> None:
        if self.ended:
            return
        if line.sequence_number > self.cursor:
            self._held[line.sequence_number] = line
        elif line.type in TERMINAL_TYPES:
            self._end(line, ready=ready)

    def _advance(self, ready: list[EventLine]) -> None:
        while (line := self._held.pop(self.cursor + 1, None)) is not None:
            self._hand_out(line, ready=ready)

    def _hand_out(self, line: EventLine, *, ready: list[EventLine]) -> None:
        if line.type in TERMINAL_TYPES:
            self._end(line, ready=ready)
        elif line.type == RESUMED:
            self._resume(line, ready=ready)
        else:
            self.cursor += 1
            ready.append(line)

    def _resume(self, line: EventLine, *, ready: list[EventLine]) -> None:
        after, last = int(line.data.get("after", -1)), self._last_before_seam
        if last < after:
            ready.append(_gap(last + 1, after))
        ready.append(line)
        self.cursor = line.sequence_number + max(0, last - after)
        for number in [number for number in self._held if number <= self.cursor]:
            del self._held[number]

    def _end(self, line: EventLine, *, ready: list[EventLine]) -> None:
        self.cursor = max(self.cursor, line.sequence_number)
        self.ended = True
        self._in_doubt = False
        self._held.clear()
        ready.append(line)


def _gap(first_missing: int, last_missing: int) -> EventLine:
    fields = b',"first_missing":%d,"last_missing":%d' % (first_missing, last_missing)
    return EventLine(encode(Event(GAP_TYPE, fields), last_missing))
