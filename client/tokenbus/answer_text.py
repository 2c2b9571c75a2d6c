"""The text of an answer as it grows: what to show for each event, so that all of it together is the final text.

Rules of this file: no await, no clock, no network.

Text is shown in the order of the final text, part by part. Deltas of a later part (parallel choices) wait until the
parts before it are done. After a gap nothing can be shown truthfully before the terminal event, which holds the whole
response: then the rest follows, once.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tokenbus.sequencer import GAP_TYPE
from tokenbus_schemas import EventLine, Response

PART_ADDED: Final = "response.content_part.added"
TEXT_DELTA: Final = "response.output_text.delta"
PART_DONE: Final = "response.content_part.done"


class PartPlace(NamedTuple):
    """Where a content part stands in the response; compares in the order of the final text."""

    output_index: int
    content_index: int


class AnswerText:
    """Feed it every event of an answer, in order; it says which text to show."""

    def __init__(self) -> None:
        self.has_gap = False
        """Events were lost for good; until the terminal event nothing more is shown."""
        self._shown: list[str] = []
        self._current: PartPlace | None = None
        self._waiting: dict[PartPlace, list[str]] = {}
        self._closed: set[PartPlace] = set()

    def feed(self, line: EventLine) -> str:
        """The text that this event adds; often empty. Raises `MalformedEventError` for a delta that is no JSON."""
        if self.has_gap:
            return ""
        if line.type == TEXT_DELTA:
            return self._delta(line.data)
        if line.type == PART_ADDED:
            self._open(_place(line.data))
        elif line.type == PART_DONE:
            return self._close(_place(line.data))
        elif line.type == GAP_TYPE:
            self.has_gap = True
        return ""

    def finish(self, response: Response) -> str | None:
        """The rest of the final text, behind what was shown; None where the shown text is not its beginning."""
        shown, final = "".join(self._shown), response.output_text
        return final.removeprefix(shown) if final.startswith(shown) else None

    def _open(self, place: PartPlace) -> None:
        if self._current is None:
            self._current = place
        elif place != self._current:
            self._waiting.setdefault(place, [])

    def _delta(self, data: Mapping[str, Any]) -> str:
        place = _place(data)
        delta = str(data.get("delta", ""))
        if place != self._current:
            self._open(place)
        if place != self._current:
            self._waiting[place].append(delta)
            return ""
        self._shown.append(delta)
        return delta

    def _close(self, place: PartPlace) -> str:
        """Shows the next parts as far as they have come, when the current one is done."""
        self._closed.add(place)
        added: list[str] = []
        while self._current in self._closed:
            self._current = min(self._waiting, default=None)
            if self._current is not None:
                added += self._waiting.pop(self._current)
        self._shown += added
        return "".join(added)


def _place(data: Mapping[str, Any]) -> PartPlace:
    return PartPlace(int(data.get("output_index", 0)), int(data.get("content_index", 0)))
