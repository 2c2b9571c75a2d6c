"""Events of a Responses upstream, one after the other, into items of the response.

What is missing is repaired: an item or part that was never added is opened by its first text, one that was never done
is closed at the end, a text that only its `done` tells is written then. What is unknown passes with its names
corrected. What says nothing new (a second `added`, a `done` after the item) is left out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tokenbus_translate.assembly import ResponseAssembly
from tokenbus_translate.items import CALL_TYPES, ID_PREFIXES, STANDARD_TYPES, Item
from tokenbus_translate.json_value import JsonObject, as_index, as_object, as_text
from tokenbus_translate.logprobs import normal_logprobs
from tokenbus_translate.responses_items import (
    UpstreamItem,
    UpstreamItems,
    enrich,
    fill,
    names_of,
    part_text,
    write,
)
from tokenbus_translate.text import (
    DELTA_KINDS,
    DONE_KINDS,
    ITEM_TYPES,
    OTHER_PART,
    OUTPUT_TEXT,
    PART_KINDS,
    SUMMARY_TEXT,
    Text,
    TextKind,
    dumps,
)

_PLAIN_TYPE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_OURS: Final = "tokenbus:"
_RENAMED: Final = frozenset({"type", "sequence_number", "response_id", "obfuscation", "item_id", "output_index"})


class Hot(NamedTuple):
    """A delta's text and names: a delta with the same names goes to the same text, without looking for it."""

    text: Text
    type: str
    item_id: object
    output_index: object
    index_key: str
    text_index: object


class ResponsesWriter:
    """Writes one upstream call into the response."""

    def __init__(self, assembly: ResponseAssembly) -> None:
        self._assembly = assembly
        self._items = UpstreamItems()
        self._handlers: Mapping[str, Callable[[JsonObject], None]] = {
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.content_part.done": self._part_done,
            "response.reasoning_summary_part.added": self._part_added,
            "response.reasoning_summary_part.done": self._part_done,
            "response.output_text.annotation.added": self._annotation,
        }
        self.hot: Hot | None = None
        """The last delta, while nothing else came."""

    def write(self, event_type: str, event: JsonObject) -> None:
        """Take one event that is not about the response as a whole."""
        self.hot = None
        if (kind := DELTA_KINDS.get(event_type)) is not None:
            self._delta(event_type, event, kind)
        elif (kind := DONE_KINDS.get(event_type)) is not None:
            self._text_done(event_type, event, kind)
        elif (handler := self._handlers.get(event_type)) is not None:
            handler(event)
        else:
            self._unknown(event_type, event)

    def repair(self, output: list[JsonObject]) -> bool:
        """Tell what only the final output tells. Says whether every call is known by name now."""
        self.hot = None
        rest = list(self._items.all)
        for final in output:
            item_id, item_type = final.get("id"), final.get("type")
            found = next((item for item in rest if item_id is not None and item.names.item_id == item_id), None)
            # Some servers give the items of the final response other ids than those they streamed (vLLM).
            found = found or next((item for item in rest if item.type == item_type), None)
            if found is not None:
                rest.remove(found)
            self._finish(found, final)
        return all(self._open_by_name(waiting) for waiting in self._items.all if waiting.item is None)

    def close(self) -> None:
        """The answer is whole: close what the upstream did not."""
        for found in self._items.all:
            if found.item is not None:
                found.item.close("completed")

    def _delta(self, event_type: str, event: JsonObject, kind: TextKind) -> None:
        delta = as_text(event.get("delta")) or ""
        logprobs = normal_logprobs(event.get("logprobs")) if kind is OUTPUT_TEXT else []
        if not delta and not logprobs:
            return
        found = self._writable(event, kind)
        if found.item is None:
            found.early.append((event_type, event))
            return
        text = None if found.closed else found.text(found.item, kind, index=as_index(event.get(kind.index_key)))
        if text is None or text.finished:
            return  # the arguments of a call are one text: after its `done` there is no place for more
        write(text, delta, logprobs=logprobs)
        index = event.get(kind.index_key)
        self.hot = Hot(text, event_type, event.get("item_id"), event.get("output_index"), kind.index_key, index)

    def _text_done(self, event_type: str, event: JsonObject, kind: TextKind) -> None:
        whole = as_text(event.get(kind.key))
        found = self._items.find(names_of(event), types={ITEM_TYPES[kind]})
        if found is None and whole:
            found = self._writable(event, kind)
        if found is None or found.closed:
            return
        if found.item is None:
            found.early.append((event_type, event))
            return
        index = as_index(event.get(kind.index_key))
        text = found.known_text(kind, index=index)
        if text is None and whole is not None:
            text = found.text(found.item, kind, index=index)
        if text is not None:
            fill(text, whole, logprobs=event.get("logprobs"))
            text.finish()

    def _part_added(self, event: JsonObject) -> None:
        part = as_object(event.get("part")) or {}
        kind = _kind_of(event, part)
        if kind is None:
            return
        index = as_index(event.get(kind.index_key))
        found = self._writable(event, kind)
        if found.item is None:
            return
        known = None if index is None else found.known_text(kind, index=index)
        if known is None or known.kind is not kind:
            if index is None:
                found.item.close_text()
            write(found.text(found.item, kind, index=index, part=part), part_text(part), logprobs=[])

    def _part_done(self, event: JsonObject) -> None:
        part = as_object(event.get("part")) or {}
        kind = _kind_of(event, part)
        if kind is None:
            return
        index = as_index(event.get(kind.index_key))
        found = self._items.find(names_of(event), types={ITEM_TYPES[kind]})
        if found is None and part_text(part):
            found = self._writable(event, kind)
        if found is None or found.item is None or found.closed:
            return
        text = found.known_text(kind, index=index)
        if text is None or text.kind is not kind:
            text = found.text(found.item, kind, index=index, part=part)
        if not text.closed:
            fill(text, part_text(part), logprobs=part.get("logprobs"))
            enrich(text, part)
            found.item.close_text()

    def _annotation(self, event: JsonObject) -> None:
        found = self._items.find(names_of(event), types={"message"})
        if found is None or found.item is None or found.closed:
            return
        index = as_index(event.get("content_index"))
        text = found.known_text(OUTPUT_TEXT, index=index) or found.text(found.item, OUTPUT_TEXT, index=index)
        if text.kind is OUTPUT_TEXT:
            enrich(text, {"annotations": [*text.annotations, event.get("annotation")]})

    def _item_added(self, event: JsonObject) -> None:
        item, names = as_object(event.get("item")), names_of(event)
        if item is None or (item_type := _type_of(item)) is None:
            return
        found = self._items.find(names, types={item_type})
        if found is not None and found.item is None:
            self._items.bind(found, names=names)
        elif found is None or found.closed or names.item_id is None or found.names.item_id != names.item_id:
            found = self._items.add(item_type, names=names)
        else:
            return
        self._open(found, item)

    def _item_done(self, event: JsonObject) -> None:
        final = as_object(event.get("item"))
        if final is None or (item_type := _type_of(final)) is None:
            return
        names = names_of(event)
        found = self._items.find(names, types={item_type})
        self._finish(found, final, index=names.output_index)

    def _finish(self, found: UpstreamItem | None, final: JsonObject, *, index: int | None = None) -> None:
        item_type = _type_of(final)
        if item_type is None or (found is not None and found.closed):
            return
        final = _theirs(final)
        if found is None:
            found = self._items.add(item_type, names=names_of({"item": final, "output_index": index}))
        item = found.item or self._open(found, final)
        found.complete(item, final)
        if final.get("status") == "incomplete" and item_type in STANDARD_TYPES:
            # Whether it ends incomplete is decided at the end of the response: only then can nothing follow it.
            item.close_text()
            item.note(final)
        else:
            item.close("completed", final=final)

    def _unknown(self, event_type: str, event: JsonObject) -> None:
        if not _PLAIN_TYPE.fullmatch(event_type) or event_type.startswith(_OURS):
            return  # no upstream speaks in our name, nor breaks out of the line it is written to
        fields = {name: value for name, value in event.items() if name not in _RENAMED}
        names = names_of(event)
        # An event that names no item says in its type which kind it is about: response.web_search_call.searching.
        named = names.item_id is not None or names.output_index is not None
        subject = "" if named else event_type.removeprefix("response.").partition(".")[0]
        found = self._items.find(names, types={subject} if subject else None)
        if found is None and (named or subject in ID_PREFIXES.keys() - STANDARD_TYPES):
            found = self._items.add(subject, names=names)
        if found is not None:
            if found.item is None:
                found.early.append((event_type, event))
                return
            fields |= {"item_id": found.item.id, "output_index": found.item.index}
            text = found.known_text(OTHER_PART, index=as_index(event.get("content_index")))
            if "content_index" in fields and text is not None:
                fields["content_index"] = text.index
        self._assembly.passthrough(event_type, b"," + dumps(fields)[1:-1] if fields else b"")

    def _writable(self, event: JsonObject, kind: TextKind) -> UpstreamItem:
        """The item that a text belongs to. Where there is none, or a closed message or reasoning, it is a new one."""
        item_type, names = ITEM_TYPES[kind], names_of(event)
        found = self._items.find(names, types={item_type})
        renewable = item_type in {"message", "reasoning"}
        if found is None or (found.closed and renewable):
            found = self._items.add(item_type, names=names)
        elif not found.closed:
            self._items.bind(found, names=names)
        if found.item is None and renewable:
            self._open(found, {"type": item_type})
        return found

    def _open(self, found: UpstreamItem, fields: JsonObject) -> Item:
        """Open the item and tell it what came too early."""
        found.type = str(fields["type"])
        found.item = self._assembly.open_item(_theirs(fields), item_id=found.names.item_id)
        early, found.early = found.early, []
        for event_type, event in early:
            self.write(event_type, event)
        self.hot = None  # what is replayed is not the last thing that came
        return found.item

    def _open_by_name(self, waiting: UpstreamItem) -> bool:
        """Open a call that no event brought whole; False where not even its name is known."""
        if waiting.type not in CALL_TYPES:
            return True  # progress of an item that never came: nothing to show
        name = next((name for _, event in waiting.early if (name := as_text(event.get("name")))), None)
        if name is not None:
            self._open(waiting, {"type": waiting.type, "call_id": None, "name": name})
        return name is not None


def _kind_of(event: JsonObject, part: JsonObject) -> TextKind | None:
    """What kind of part an event is about; None where it does not say: the part's text will."""
    if "summary" in str(event.get("type")):
        return SUMMARY_TEXT
    part_type = as_text(part.get("type"))
    return PART_KINDS.get(part_type, OTHER_PART) if part_type else None


# No upstream speaks in our name: neither in the type of an item nor in a field.


def _type_of(item: JsonObject) -> str | None:
    item_type = as_text(item.get("type"))
    return None if not item_type or item_type.startswith(_OURS) else item_type


def _theirs(item: JsonObject) -> JsonObject:
    return {name: value for name, value in item.items() if not name.startswith(_OURS)}
