"""A strict check of event sequences: what every answer on the bus must look like.

Rules:

1. Sequence numbers rise by one, or jump to the first of a later attempt. `response.created` is first,
   `response.in_progress` follows (a `response.queued` may stand between); a terminal event is last; all three hold a
   whole response resource with one id, and the status that belongs to the event.
2. Items are added with the next output index and an id that is new; nothing is said of an item before it is added or
   after it is done, and none is left open by the terminal event.
3. The parts of an item are added with the next index of their list, one open at a time. Deltas and annotations come
   inside their part; a `done` says exactly what the deltas said, and so do the part and the item.
4. `output` of the terminal event is what the done items said. An incomplete item needs a response that is not
   completed, and no item begins after it ended.
5. `tokenbus:response.rewound` voids the items from its output index on, open ones too; their ids stay taken.
   `tokenbus:response.resumed` is the first of its attempt and names the number that it goes on from; what a reader
   had beyond that is left out behind it.

Unknown events may come anywhere between the first and the last; an item they name must have been added.
"""

from collections.abc import Mapping
from typing import Final

from tokenbus_schemas import ATTEMPT_STRIDE, TERMINAL_TYPES
from tokenbus_schemas.vocabulary import RESUMED, REWOUND
from tokenbus_translate.json_value import JsonObject, as_index, as_object, as_objects, as_text
from tokenbus_translate.resource import REQUIRED_KEYS
from tokenbus_translate.text import DELTA_KINDS, DONE_KINDS, OUTPUT_TEXT, PART_KINDS, TextKind

_LIFECYCLE: Final[Mapping[str, frozenset[str]]] = {
    "response.created": frozenset({"in_progress", "queued"}),
    "response.queued": frozenset({"queued"}),
    "response.in_progress": frozenset({"in_progress"}),
    "response.completed": frozenset({"completed"}),
    "response.incomplete": frozenset({"incomplete", "cancelled"}),
    "response.failed": frozenset({"failed"}),
}
_PLACES: Final = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
_INDEX_KEYS: Final = {"content": "content_index", "summary": "summary_index"}


class LifecycleError(ValueError):
    """An event that may not stand where it stands; says which rule it breaks, never what it holds."""


class _Text:
    def __init__(self, *, part: bool) -> None:
        self.told = ""
        self.finished = False
        self.open = True
        self.is_part = part


class _Item:
    def __init__(self, item: JsonObject) -> None:
        self.id = item.get("id")
        self.identity = (item.get("type"), item.get("id"), item.get("call_id"))
        self.done: JsonObject | None = None
        self.texts: dict[str, list[_Text]] = {}


class LifecycleCheck:
    """Feed every event of an answer, in order; raises `LifecycleError` at the first that breaks a rule."""

    def __init__(self, *, first: int = 0) -> None:
        """`first` is the sequence number of the first event."""
        self._next = first
        self._created = False
        self._in_progress = False
        self._ended = False
        self._response_id: object = None
        self._items: list[_Item] = []
        self._ids: set[object] = set()
        self._incomplete = False

    def feed(self, event: Mapping[str, object]) -> None:
        """Check one event, parsed."""
        event_type = as_text(event.get("type")) or ""
        if self._ended:
            raise LifecycleError(f"{event_type} after the terminal event")
        self._number(event_type, event)
        if event_type in _LIFECYCLE:
            self._lifecycle(event_type, as_object(event.get("response")))
        elif not self._in_progress:
            raise LifecycleError(f"{event_type} before response.in_progress")
        elif event_type == "response.output_item.added":
            self._item_added(event)
        elif event_type == REWOUND:
            self._rewound(event)
        else:
            self._inside(event_type, event)

    def close(self) -> None:
        """No more events come. Raises unless the last was terminal."""
        if not self._ended:
            raise LifecycleError("no terminal event")

    def _number(self, event_type: str, event: Mapping[str, object]) -> None:
        number = as_index(event.get("sequence_number"))
        is_base = number is not None and number > self._next and number % ATTEMPT_STRIDE == 0
        _require(number == self._next or is_base, f"sequence_number is not {self._next}")
        repeated = 0
        if event_type == RESUMED:
            repeated = self._next - 1 - (as_index(event.get("after")) or 0)
            _require(is_base and repeated >= 0, f"{event_type} does not go on from here")
        self._next = (number or 0) + 1 + repeated

    def _rewound(self, event: Mapping[str, object]) -> None:
        index = as_index(event.get("output_index"))
        _require(index is not None and index <= len(self._items), "rewound to an item that was not added")
        del self._items[index or 0 :]
        self._incomplete = any(item.done and item.done.get("status") == "incomplete" for item in self._items)

    def _lifecycle(self, event_type: str, response: JsonObject | None) -> None:
        if response is None:
            raise LifecycleError(f"{event_type} without a response")
        if missing := REQUIRED_KEYS - response.keys():
            raise LifecycleError(f"{event_type}: the response lacks {', '.join(sorted(missing))}")
        if response["status"] not in _LIFECYCLE[event_type]:
            raise LifecycleError(f"{event_type} with another status")
        if event_type == "response.created":
            _require(not self._created, "a second response.created")
            self._created = True
            self._response_id = response["id"]
        _require(self._created, f"{event_type} before response.created")
        _require(response["id"] == self._response_id, f"{event_type} with another response id")
        if event_type == "response.in_progress":
            _require(not self._in_progress, "a second response.in_progress")
            self._in_progress = True
        if event_type in TERMINAL_TYPES:
            self._terminal(event_type, response)

    def _terminal(self, event_type: str, response: JsonObject) -> None:
        _require(self._in_progress, f"{event_type} before response.in_progress")
        _require(all(item.done for item in self._items), f"{event_type} while an item is open")
        _require(response["output"] == [item.done for item in self._items], "output is not what the done items said")
        _require(
            not (self._incomplete and response["status"] == "completed"), "an incomplete item in a completed response"
        )
        self._ended = True

    def _item_added(self, event: Mapping[str, object]) -> None:
        item = as_object(event.get("item")) or {}
        _require(as_index(event.get("output_index")) == len(self._items), "output_item.added with a wrong output_index")
        _require(bool(as_text(item.get("type"))), "output_item.added without a type")
        _require(bool(as_text(item.get("id"))), "output_item.added without an id")
        _require(item["id"] not in self._ids, "output_item.added with an id that is taken")
        _require(not self._incomplete, "output_item.added after an item that ended incomplete")
        self._ids.add(item["id"])
        self._items.append(_Item(item))

    def _inside(self, event_type: str, event: Mapping[str, object]) -> None:
        known = event_type in DELTA_KINDS or event_type in DONE_KINDS or event_type.rpartition(".")[0] in _PLACES
        if not known and not event_type.startswith(("response.output_item.", "response.output_text.annotation.")):
            self._unknown(event_type, event)
            return
        index = as_index(event.get("output_index"))
        _require(index is not None and index < len(self._items), f"{event_type} of an item that was not added")
        item = self._items[index or 0]
        _require(item.done is None, f"{event_type} after its item was done")
        if event_type == "response.output_item.done":
            self._item_done(item, as_object(event.get("item")) or {})
            return
        _require(event.get("item_id") == item.id, f"{event_type} with another item_id")
        if event_type == "response.output_text.annotation.added":
            _require(_text(item, OUTPUT_TEXT, event).open, "annotation outside its part")
        elif (kind := DELTA_KINDS.get(event_type)) is not None:
            text = _text(item, kind, event)
            _require(text.open and not text.finished, f"{event_type} after its text was done")
            text.told += as_text(event.get("delta")) or ""
        elif (kind := DONE_KINDS.get(event_type)) is not None:
            text = _text(item, kind, event)
            _require(not text.finished, f"a second {event_type}")
            _require(event.get(kind.key) == text.told, f"{event_type} says other than its deltas")
            text.finished = True
        else:
            self._part(item, event_type, event)

    def _part(self, item: _Item, event_type: str, event: Mapping[str, object]) -> None:
        events, _, what = event_type.rpartition(".")
        place = _PLACES[events]
        texts = item.texts.setdefault(place, [])
        index = as_index(event.get(_INDEX_KEYS[place]))
        part = as_object(event.get("part")) or {}
        kind = PART_KINDS.get(str(part.get("type")))
        if what == "added":
            _require(index == len(texts), f"{event_type} with a wrong index")
            is_open = any(text.open and text.is_part for group in item.texts.values() for text in group)
            _require(not is_open, f"{event_type} while another part is open")
            _require(kind is None or part.get(kind.key) == "", f"{event_type} with text in it")
            texts.append(_Text(part=True))
            return
        _require(
            index is not None and index < len(texts) and texts[index].open, f"{event_type} of a part that is not open"
        )
        text = texts[index or 0]
        if kind is not None:
            _require(text.finished, f"{event_type} before its text was done")
            _require(part.get(kind.key) == text.told, f"{event_type} says other than its deltas")
        text.open = False

    def _item_done(self, item: _Item, final: JsonObject) -> None:
        identity = (final.get("type"), final.get("id"), final.get("call_id"))
        _require(identity == item.identity, "output_item.done with another identity")
        for place, texts in item.texts.items():
            _require(not any(text.open and text.is_part for text in texts), "output_item.done while a part is open")
            if place in _INDEX_KEYS:
                said = [_said(part) for part in as_objects(final.get(place))]
                _require(said == [text.told for text in texts], "output_item.done says other than its parts")
            else:
                _require(all(text.finished for text in texts), "output_item.done before its text was done")
                _require(final.get(place) == "".join(text.told for text in texts), "output_item.done says other text")
        self._incomplete = self._incomplete or final.get("status") == "incomplete"
        item.done = final

    def _unknown(self, event_type: str, event: Mapping[str, object]) -> None:
        item_id = event.get("item_id")
        known = item_id is None or any(item.id == item_id for item in self._items)
        _require(known, f"{event_type} of an unknown item")


def _text(item: _Item, kind: TextKind, event: Mapping[str, object]) -> _Text:
    texts = item.texts.setdefault(kind.place, [])
    if kind.place not in _INDEX_KEYS:
        if not texts:
            texts.append(_Text(part=False))
        return texts[0]
    index = as_index(event.get(kind.index_key))
    if index is None or index >= len(texts):
        raise LifecycleError(f"a {kind.part_type} event before its part was added")
    return texts[index]


def _said(part: JsonObject) -> str:
    kind = PART_KINDS.get(str(part.get("type")))
    return "" if kind is None else as_text(part.get(kind.key)) or ""


def _require(condition: object, problem: str) -> None:
    if not condition:
        raise LifecycleError(problem)
