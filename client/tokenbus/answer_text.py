"""The text of an answer as it grows: what to show for each event, so that all of it together is the final text.

Rules of this file: no await, no clock, no network.

Text is shown in the order of the final text, part by part. Deltas of a later part (parallel choices) wait until the
parts before it are done. After a gap nothing can be shown truthfully before the terminal event, which holds the whole
response: then the rest follows, once.

Text that was shown can not be taken back. After a rewind the new text is held back until it has passed what was shown,
and goes on from there; where it says something else, nothing more is shown, as after a gap.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tokenbus.sequencer import GAP_TYPE
from tokenbus_schemas import EventLine, Response
from tokenbus_schemas.vocabulary import REWOUND, SNAPSHOT

PART_ADDED: Final = "response.content_part.added"
TEXT_DELTA: Final = "response.output_text.delta"
PART_DONE: Final = "response.content_part.done"
ITEM_DONE: Final = "response.output_item.done"


class PartPlace(NamedTuple):
    """Where a content part stands in the response; compares in the order of the final text."""

    output_index: int
    content_index: int


class AnswerText:
    """Feed it every event of an answer, in order; it says which text to show."""

    def __init__(self) -> None:
        self.in_doubt = False
        """Whether what was shown may not be the beginning of the final text: events were lost, or it was rewound."""
        self._silent = False
        """Until the terminal event nothing more is shown."""
        self._shown: list[str] = []
        self._ahead = ""
        """The end of what was shown, which the text after a rewind has not reached yet."""
        self._told: list[tuple[PartPlace, int]] = []
        """Characters of the text, part by part; all but those that `_ahead` counts."""
        self._current: PartPlace | None = None
        self._waiting: dict[PartPlace, list[str]] = {}
        self._closed: set[PartPlace] = set()

    def feed(self, line: EventLine) -> str:
        """The text that this event adds; often empty. Raises `MalformedEventError` for a delta that is no JSON."""
        if self._silent:
            return ""
        if line.type == TEXT_DELTA:
            return self._delta(line.data)
        if line.type == PART_ADDED:
            self._open(_place(line.data))
        elif line.type == PART_DONE:
            return self._close(_place(line.data))
        elif line.type == GAP_TYPE:
            self.in_doubt = self._silent = True
        elif line.type == REWOUND:
            self._rewind(int(line.data.get("output_index", 0)))
        elif line.type == SNAPSHOT:
            return self._stand(line.data)
        elif line.type == ITEM_DONE:
            return self._close_item(int(line.data.get("output_index", 0)))
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
        return self._show(place, delta)

    def _close(self, place: PartPlace) -> str:
        """Shows the next parts as far as they have come, when the current one is done."""
        self._closed.add(place)
        added: list[str] = []
        while self._current in self._closed:
            self._current = min(self._waiting, default=None)
            if self._current is not None:
                added.append(self._show(self._current, "".join(self._waiting.pop(self._current))))
        return "".join(added)

    def _close_item(self, output_index: int) -> str:
        """Closes the parts whose end was before a snapshot."""
        open_parts = [place for place in (self._current, *self._waiting) if place is not None]
        return "".join([self._close(place) for place in open_parts if place.output_index == output_index])

    def _stand(self, data: Mapping[str, Any]) -> str:
        """Takes all text of a snapshot as told."""
        self._rewind(0)
        added: list[str] = []
        for output_index, item in enumerate(data["response"]["output"]):
            for content_index, part in enumerate(item.get("content") or ()):
                place = {"output_index": output_index, "content_index": content_index}
                self._open(_place(place))
                if part.get("type") == "output_text":
                    added.append(self._delta({**place, "delta": part.get("text", "")}))
                if item.get("status") != "in_progress":
                    added.append(self._close(_place(place)))
        return "".join(added)

    def _show(self, place: PartPlace, text: str) -> str:
        """What of the text's next piece was not shown yet."""
        if self._told and self._told[-1][0] == place:
            self._told[-1] = (place, self._told[-1][1] + len(text))
        else:
            self._told.append((place, len(text)))
        if self._ahead:
            known, text = text[: len(self._ahead)], text[len(self._ahead) :]
            self._silent = self._silent or not self._ahead.startswith(known)
            self._ahead = self._ahead[len(known) :]
        if self._silent:
            return ""
        self._shown.append(text)
        return text

    def _rewind(self, output_index: int) -> None:
        self.in_doubt = True
        self._told = [told for told in self._told if told[0].output_index < output_index]
        self._closed = {place for place in self._closed if place.output_index < output_index}
        self._waiting = {place: text for place, text in self._waiting.items() if place.output_index < output_index}
        if self._current is not None and self._current.output_index >= output_index:
            self._current = None
        self._ahead = "".join(self._shown)[sum(length for _, length in self._told) :]


def _place(data: Mapping[str, Any]) -> PartPlace:
    return PartPlace(int(data.get("output_index", 0)), int(data.get("content_index", 0)))
