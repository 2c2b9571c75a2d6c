"""Events → the output items that a reader of them has: what `ResponseAssembly` wrote, read back. Pure.

Rules:

1. Numbers rise. A line that does not rise was sent again, or comes late from an attempt that was overtaken.
2. `tokenbus:response.resumed` goes on behind an event. Where later ones than that are there already, the lines that
   follow it are these again, as many of them.
3. `tokenbus:response.rewound` voids the items at its output index and beyond.
4. Where lines are missing, the next `done` event heals its text, its part or its item; what nothing heals stays away.
   The terminal event is not looked at: all it tells of output was told before.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tokenbus_schemas import Event, EventLine
from tokenbus_schemas.vocabulary import RESUMED, REWOUND
from tokenbus_translate.items import Item
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_objects, as_text
from tokenbus_translate.text import DELTA_KINDS, DONE_KINDS, OTHER_PART, OUTPUT_TEXT, PART_KINDS, Text, TextKind

_PART_EVENTS: Final = frozenset({"response.content_part", "response.reasoning_summary_part"})
_BEFORE_START: Final = frozenset({"response.created", "response.queued"})


def fold_events(lines: Iterable[EventLine]) -> list[JsonObject]:
    """The output items as these events left them, in order; one that was not done is as it stood.

    Raises `MalformedEventError` for a line that is no JSON.
    """
    items: list[Item] = []
    folding = Folding(items, out=[])
    for line in standing_lines(lines):
        folding.feed(line)
    return [item.snapshot() for item in items]


def standing_lines(lines: Iterable[EventLine]) -> list[EventLine]:
    """The lines that hold, by the first two rules."""
    standing: list[EventLine] = []
    last = -1
    for line in lines:
        if line.sequence_number <= last:
            continue
        repeated = 0
        if line.type == RESUMED:
            repeated = max(0, last - (as_index(line.data.get("after")) or 0))
        standing.append(line)
        last = line.sequence_number + repeated
    return standing


class Folding:
    """Feed it lines that hold, in order; it keeps a list of items as they tell."""

    def __init__(self, items: list[Item], *, out: list[Event]) -> None:
        """`out`: where the items write when they go on; what they would write of the past is dropped."""
        self.created = False
        """Whether anything was there: `response.created` is the first of all."""
        self.started = False
        """Whether anything was there but that, and the request's queueing."""
        self.seen: list[Item] = []
        """All items there were, those that were voided among them."""
        self._items = items
        self._out = out

    def feed(self, line: EventLine) -> None:
        """One event. Raises `MalformedEventError` where it is no JSON."""
        event_type = line.type
        self.created = True
        self.started = self.started or event_type not in _BEFORE_START
        if (kind := DELTA_KINDS.get(event_type)) is not None:
            self._delta(kind, line.data)
        elif (kind := DONE_KINDS.get(event_type)) is not None:
            self._text_done(kind, line.data)
        elif event_type == "response.output_item.added":
            self._item_added(line.data)
        elif event_type == "response.output_item.done":
            self._item_done(line.data)
        elif event_type == "response.output_text.annotation.added":
            if (text := self._text(OUTPUT_TEXT, line.data)) is not None and not text.closed:
                text.annotate(line.data.get("annotation"))
        elif event_type == REWOUND:
            del self._items[as_index(line.data.get("output_index")) or 0 :]
        else:
            events, _, what = event_type.rpartition(".")
            if events in _PART_EVENTS:
                self._part(events, what, line.data)
        self._out.clear()

    def _delta(self, kind: TextKind, event: Mapping[str, object]) -> None:
        text = self._text(kind, event)
        if text is None or text.finished:
            return
        delta = as_text(event.get("delta")) or ""
        if logprobs := as_objects(event.get("logprobs")):
            text.write_with(delta, logprobs=logprobs)
        else:
            text.write(delta)

    def _text_done(self, kind: TextKind, event: Mapping[str, object]) -> None:
        text = self._text(kind, event)
        if text is None or text.finished:
            return
        text.chunks = [as_text(event.get(kind.key)) or ""]
        if kind is OUTPUT_TEXT:
            text.logprobs = as_objects(event.get("logprobs"))
        text.finish()

    def _item_added(self, event: Mapping[str, object]) -> None:
        fields = as_object(event.get("item")) or {}
        if as_index(event.get("output_index")) == len(self._items) and as_text(fields.get("type")):
            item = Item(fields, item_id=str(fields.get("id")), index=len(self._items), out=self._out)
            self._items.append(item)
            self.seen.append(item)

    def _item_done(self, event: Mapping[str, object]) -> None:
        if self._item(event) is None:
            self._item_added(event)
        item = self._item(event)
        if item is not None:
            item.closed, item.fields, item.texts = True, dict(as_object(event.get("item")) or {}), []

    def _part(self, events: str, what: str, event: Mapping[str, object]) -> None:
        part = as_object(event.get("part")) or {}
        kind = PART_KINDS.get(str(part.get("type")), OTHER_PART)
        text = self._text(kind, event, part=part)
        if what == "done" and text is not None and not text.closed:
            text.part = part
            text.annotations = as_list(part.get("annotations"))
            text.close()

    def _item(self, event: Mapping[str, object]) -> Item | None:
        index = as_index(event.get("output_index"))
        return None if index is None or index >= len(self._items) else self._items[index]

    def _text(self, kind: TextKind, event: Mapping[str, object], *, part: JsonObject | None = None) -> Text | None:
        """The text that the event names; a new one where it is the item's next."""
        item = self._item(event)
        if item is None or item.closed:
            return None
        index = (as_index(event.get(kind.index_key)) or 0) if kind.index_key else 0
        texts = [text for text in item.texts if text.kind.place == kind.place]
        if index == len(texts):
            return item.open_text(kind, part=part)
        return texts[index] if index < len(texts) else None
