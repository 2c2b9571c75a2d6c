"""An upstream's items and ours: which of them an event means, and what of an item was told already.

Upstreams name items by `item_id`, by `output_index`, by both, or by neither (llama.cpp #20607), and some change an id
midway. The rules of `UpstreamItems.find`, best first: the id; the index; else the last open item that fits and that the
upstream did not name either.
"""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tokenbus_translate.items import STANDARD_TYPES, Item
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_objects, as_text
from tokenbus_translate.logprobs import normal_logprobs
from tokenbus_translate.text import FIELD_KINDS, OTHER_PART, OUTPUT_TEXT, PART_KINDS, Text, TextKind, dumps

_PART_TEXT = frozenset({"type", "text", "refusal", "annotations", "logprobs"})


class Names(NamedTuple):
    """How an upstream's event names an item."""

    item_id: str | None
    output_index: int | None
    call_id: str | None = None


def names_of(event: JsonObject) -> Names:
    """The names in an event, or in the item that the event brings."""
    item = as_object(event.get("item")) or {}
    item_id = as_text(event.get("item_id")) or as_text(item.get("id"))
    return Names(item_id or None, as_index(event.get("output_index")), as_text(item.get("call_id")) or None)


class UpstreamItem:
    """One item of an upstream. `item` is ours, once enough is known to open it; until then events wait in `early`."""

    def __init__(self, item_type: str, *, names: Names) -> None:
        self.type = item_type
        self.names = names
        self.item: Item | None = None
        self.early: list[tuple[str, JsonObject]] = []
        self._texts: dict[tuple[str, int], Text] = {}

    @property
    def closed(self) -> bool:
        return self.item is not None and self.item.closed

    def known_text(self, kind: TextKind, *, index: int | None) -> Text | None:
        """The text that the upstream has at `index`; without an index, the last one of that kind."""
        if index is not None or self.item is None:
            return self._texts.get((kind.place, index or 0))
        return next((text for text in reversed(self.item.texts) if text.kind is kind), None)

    def text(self, item: Item, kind: TextKind, *, index: int | None, part: JsonObject | None = None) -> Text:
        """The text to write to: the upstream's at `index` while it is open, else a new one."""
        text = self.known_text(kind, index=index)
        if text is None or text.finished or text.kind is not kind:
            if item.texts and item.texts[0].kind is kind and kind in FIELD_KINDS.values():
                return item.texts[0]
            text = item.open_text(kind, part=_extras(part))
            self._texts[kind.place, text.index if index is None else index] = text
        return text

    def complete(self, item: Item, final: JsonObject) -> None:
        """Tell what the upstream's whole item has and its deltas had not."""
        kind = FIELD_KINDS.get(self.type)
        if kind is not None and (item.texts or self.type in STANDARD_TYPES):
            value = final.get(kind.key)
            fill(
                self.text(item, kind, index=None),
                value if value is None or isinstance(value, str) else dumps(value).decode(),
            )
        elif self.type in STANDARD_TYPES:
            for place in ("summary", "content"):
                self._complete_parts(item, place, as_objects(final.get(place)))

    def _complete_parts(self, item: Item, place: str, parts: list[JsonObject]) -> None:
        told = item.text_of(place)
        agrees = "".join(part_text(part) for part in parts).startswith(told)
        skip = len(told)
        for index, part in enumerate(parts):
            kind = PART_KINDS.get(str(part.get("type")), OTHER_PART)
            text = self._texts.get((place, index))
            if kind is OTHER_PART:
                if text is None:
                    item.open_text(kind, part=part)
                continue
            rest = part_text(part)[skip:]
            skip = max(0, skip - len(part_text(part)))
            if (rest and agrees) or (text is None and not told):
                text = self.text(item, kind, index=index, part=part)
                text_logprobs = normal_logprobs(part.get("logprobs"))
                write(text, rest, logprobs=[] if text.logprobs else text_logprobs)
            if text is not None:
                enrich(text, part)


def part_text(part: JsonObject) -> str:
    """The text of a content or summary part."""
    kind = PART_KINDS.get(str(part.get("type")))
    return "" if kind is None else as_text(part.get(kind.key)) or ""


def write(text: Text, delta: str, *, logprobs: list[JsonObject]) -> None:
    """Write what there is, if anything."""
    if logprobs:
        text.write_with(delta, logprobs=logprobs)
    elif delta:
        text.write(delta)


def fill(text: Text, whole: str | None, *, logprobs: object = None) -> None:
    """Write what deltas left out of `whole`. Where the two disagree, what was streamed stands."""
    if text.finished or whole is None:
        return
    if whole.startswith(text.value):
        rest = whole[len(text.value) :]
        write(text, rest, logprobs=normal_logprobs(logprobs) if rest == whole else [])
    if not text.logprobs:
        text.logprobs = normal_logprobs(logprobs)


def enrich(text: Text, part: JsonObject) -> None:
    """Add what only the whole part tells: annotations, log probabilities, fields we do not know."""
    text.part |= _extras(part)
    if text.kind is not OUTPUT_TEXT:
        return
    for annotation in as_list(part.get("annotations"))[len(text.annotations) :]:
        if text.closed:
            text.annotations.append(annotation)  # too late for an event; the item still shows it
        else:
            text.annotate(annotation)
    if not text.logprobs:
        text.logprobs = normal_logprobs(part.get("logprobs"))


def _extras(part: JsonObject | None) -> JsonObject:
    if part is not None and part.get("type") not in PART_KINDS:
        return part
    return {name: value for name, value in (part or {}).items() if name not in _PART_TEXT}


class UpstreamItems:
    """All items of one upstream call, in order of appearance."""

    def __init__(self) -> None:
        self.all: list[UpstreamItem] = []
        self._by_id: dict[str, UpstreamItem] = {}
        self._by_index: dict[int, UpstreamItem] = {}

    def add(self, item_type: str, *, names: Names) -> UpstreamItem:
        """A new item; its names mean it from now on."""
        found = UpstreamItem(item_type, names=names)
        self.all.append(found)
        self.bind(found, names=names)
        return found

    def bind(self, found: UpstreamItem, *, names: Names) -> None:
        """These names mean this item too."""
        if names.item_id is not None:
            self._by_id[names.item_id] = found
        if names.output_index is not None:
            self._by_index[names.output_index] = found
        old = found.names
        found.names = Names(
            old.item_id or names.item_id,
            names.output_index if old.output_index is None else old.output_index,
            old.call_id or names.call_id,
        )

    def find(self, names: Names, *, types: AbstractSet[str] | None) -> UpstreamItem | None:
        """The item that `names` mean and that is of one of `types` (None: any); it may be closed already."""
        if names.item_id is not None and (found := self._by_id.get(names.item_id)) and _fits(found, types):
            return found
        if names.output_index is not None and (found := self._by_index.get(names.output_index)) and _fits(found, types):
            renamed = None not in (names.item_id, found.names.item_id)
            if not (found.closed and renamed):
                return found
        for found in reversed(self.all):
            if found.closed or not _fits(found, types):
                continue
            if names.call_id is not None and names.call_id == found.names.call_id:
                return found
            if all(new is None or old is None for new, old in zip(names, found.names, strict=True)):
                return found
        return None


def _fits(found: UpstreamItem, types: AbstractSet[str] | None) -> bool:
    return types is None or not found.type or found.type in types
