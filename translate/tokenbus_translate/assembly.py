"""The response while it is assembled: the one place that makes events, so that no invalid sequence can leave.

Rules, whatever an upstream does:

1. `response.created` and `response.in_progress` come first, once, when the first item is opened or the response ends.
2. An item is added before anything is said of it; output indexes rise by one, over all upstream calls of the response.
   Item ids and call ids are unique; one that the provider did not give, or gave twice, is minted.
3. Texts of an item come one after the other; each is opened, grows, and is closed with exactly what it grew to.
4. The end closes what is open. Where the answer is not complete, the item that was being written is `incomplete`, and
   so are function calls whose arguments stop in the middle; what came before stays `completed`. Nothing is dropped.
5. One terminal event, whose `output` is what the `output_item.done` events said. After it, nothing.

An assembly outlives its upstream streams: a tool loop feeds several into one response, with outputs in between.
6. A response that is begun anew (`rewind`) keeps what it had until there is something else to say: then
   `tokenbus:response.rewound` voids the items from there on. If nothing comes, it ends with what it had. Ids of items
   that are void are not used again.

Pure: ids derive from the head, times come in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2s
from typing import Final, Literal, NamedTuple

from tokenbus_schemas import ErrorBody, Event, EventLine
from tokenbus_schemas.events import COMPLETED, FAILED, INCOMPLETE
from tokenbus_schemas.vocabulary import REWOUND
from tokenbus_translate.folding import Folding, standing_lines
from tokenbus_translate.items import CALL_TYPES, ID_PREFIXES, Item
from tokenbus_translate.json_value import JsonObject
from tokenbus_translate.resource import ResponseHead, response_resource
from tokenbus_translate.text import dumps
from tokenbus_translate.usage import add_usage

_CREATED: Final = "response.created"
_IN_PROGRESS: Final = "response.in_progress"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a stream ended by itself: whole, or stopped for a reason (`max_output_tokens`, `content_filter`, …)."""

    status: Literal["completed", "incomplete"]
    reason: str | None = None


class Standing(NamedTuple):
    """How a response stands, its items closed: to come back to."""

    items: tuple[Item, ...]
    ids: frozenset[str]
    call_ids: frozenset[str]
    begun: tuple[bool, bool]
    usage: JsonObject | None
    facts: JsonObject
    extension: JsonObject


class AssemblyEndedError(RuntimeError):
    """The response has had its terminal event; a caller went on writing."""


class ResponseAssembly:
    """One response: its events as they come, and its output so far."""

    def __init__(self, head: ResponseHead, *, created: bool = False) -> None:
        """`created`: `response.created` was told by another."""
        self.head = head
        """May be replaced when a later upstream call goes to another target; identity must stay the same."""
        self.minted_by = head.attempt
        """Whose ids are minted: of another attempt where its very events are to be made again."""
        self.usage: JsonObject | None = None
        self.facts: JsonObject = {}
        """Fields of the resource that the upstream decides, such as service_tier."""
        self.extension: JsonObject = {}
        """Further fields of the resource's `tokenbus` object."""
        self._items: list[Item] = []
        self._ids: set[str] = set()
        self._call_ids: set[str] = set()
        self._events: list[Event] = []
        self._created = created
        self._started = False
        self._ended = False
        self._rewind_to: int | None = None

    @property
    def started(self) -> bool:
        """Whether `response.created` and `response.in_progress` were made."""
        return self._started

    @property
    def ended(self) -> bool:
        """Whether the terminal event was made."""
        return self._ended

    @property
    def output(self) -> list[JsonObject]:
        """The output items as they stand, in order, without those that are to become void."""
        return [item.snapshot() for item in self._items[: self._rewind_to]]

    def take_up(self, lines: Iterable[EventLine]) -> None:
        """Stand where earlier attempts left the response, as these events of theirs tell; they are not made again.

        Raises `MalformedEventError`.
        """
        folding = Folding(self._items, out=self._events)
        for line in standing_lines(lines):
            folding.feed(line)
        self._created = self._created or folding.created
        self._started = self._started or folding.started
        self._ids |= {item.id for item in folding.seen}
        self._call_ids |= {str(item.fields["call_id"]) for item in folding.seen if item.type in CALL_TYPES}

    def standing(self) -> Standing:
        """What `go_back` needs. Items that are open then must not be written to before it."""
        return Standing(
            items=tuple(self._items),
            ids=frozenset(self._ids),
            call_ids=frozenset(self._call_ids),
            begun=(self._created, self._started),
            usage=self.usage,
            facts=dict(self.facts),
            extension=dict(self.extension),
        )

    def go_back(self, to: Standing) -> None:
        """Stand so again, without an event: for what is made again from there, and was told before."""
        self._items[:] = to.items
        self._ids, self._call_ids = set(to.ids), set(to.call_ids)
        self._created, self._started = to.begun
        self.usage, self.facts, self.extension = to.usage, dict(to.facts), dict(to.extension)
        self._events.clear()

    def go_back_to(self, index: int, *, started: bool) -> None:
        """Stand as before the item at this output index; `started`: see `started`."""
        kept = self._items[:index]
        self._ids = {item.id for item in kept}
        self._call_ids = {str(item.fields["call_id"]) for item in kept if item.type in CALL_TYPES}
        self._items[:] = kept
        self._created = self._started = started

    def rewind(self, *, to: int) -> None:
        """Items from this output index on are to be written anew: see rule 6."""
        self._rewind_to = to

    def take(self) -> list[Event]:
        """The events made since the last call, in order."""
        events = self._events[:]
        self._events.clear()
        return events

    def start(self) -> None:
        """Make `response.created` and `response.in_progress`, unless they were made."""
        if self._ended:
            raise AssemblyEndedError
        if not self._created:
            self._created = True
            self._lifecycle(_CREATED, "in_progress", {})
        if not self._started:
            self._started = True
            self._lifecycle(_IN_PROGRESS, "in_progress", {})

    def open_item(self, fields: JsonObject, *, item_id: str | None = None) -> Item:
        """A new output item. `fields` needs `type`; what a first look may not show yet (its texts) is emptied."""
        self.start()
        self._void()
        if not item_id or item_id in self._ids:
            item_id = self.mint(str(fields["type"]))
        self._ids.add(item_id)
        if "call_id" in fields and str(fields["type"]) in CALL_TYPES:
            fields = {**fields, "call_id": self._unused_call_id(fields["call_id"])}
        item = Item(fields, item_id=item_id, index=len(self._items), out=self._events)
        self._items.append(item)
        return item

    def append_item(self, fields: JsonObject, *, item_id: str | None = None) -> None:
        """A whole item that no upstream wrote, such as a `function_call_output` between two rounds."""
        item = self.open_item({**fields, "status": "in_progress"}, item_id=item_id)
        item.close("completed", final={**fields, "status": "completed"})

    def mint(self, item_type: str) -> str:
        """An id that this response has not used: the same on every run, other on another attempt."""
        seed = f"{self.head.response_id}/{self.minted_by}/{len(self._ids)}"
        prefix = ID_PREFIXES.get(item_type, "item")
        return f"{prefix}_{blake2s(seed.encode(), digest_size=12).hexdigest()}"

    def passthrough(self, event_type: str, fields: bytes) -> None:
        """An event that we do not model; its item, if it names one, must have been opened."""
        self.start()
        self._void()
        self._events.append(Event(event_type, fields))

    def add_usage(self, usage: JsonObject | None) -> None:
        """Count one upstream call's usage (normal form, or None where it told none)."""
        self.usage = add_usage(self.usage, usage)

    def finish(self, ending: Ending, *, now: int) -> list[Event]:
        """Close what is open and end the response as its last upstream did. `now`: Unix seconds."""
        self._void()
        if ending.status == "completed":
            return self._end(COMPLETED, "completed", {"completed_at": now})
        details = None if ending.reason is None else {"reason": ending.reason}
        return self._end(INCOMPLETE, "incomplete", {"incomplete_details": details})

    def fail(self, error: ErrorBody) -> list[Event]:
        """Close what is open and end in `response.failed`, with the partial output kept."""
        return self._end(FAILED, "failed", {"error": error.to_wire()})

    def cancel(self) -> list[Event]:
        """Close what is open and end as cancelled: `response.incomplete` with status `cancelled`."""
        return self._end(INCOMPLETE, "cancelled", {})

    def _unused_call_id(self, given: object) -> str:
        # Some models count calls anew in every round ("call_0"); clients pair a call and its output by this id.
        call_id = given if isinstance(given, str) and given and given not in self._call_ids else self.mint("call")
        self._call_ids.add(call_id)
        return call_id

    def _void(self) -> None:
        if self._rewind_to is not None:
            to, self._rewind_to = self._rewind_to, None
            del self._items[to:]
            self._events.append(Event(REWOUND, b',"attempt":%d,"output_index":%d' % (self.head.attempt, to)))

    def _end(self, event_type: str, status: str, facts: JsonObject) -> list[Event]:
        self.start()
        self._rewind_to = None
        self._close_items(whole=status == "completed")
        self._lifecycle(event_type, status, {**self.facts, "usage": self.usage, **facts})
        self._ended = True
        return self.take()

    def _close_items(self, *, whole: bool) -> None:
        open_items = [item for item in self._items if not item.closed]
        last = {item.choice: item for item in open_items}
        cut: set[object] = set()
        for item in open_items:
            # Choices are answers of their own; in each, everything after a cut item is doubtful too.
            if not whole and (item is last[item.choice] or item.is_cut_call()):
                cut.add(item.choice)
            item.close("incomplete" if item.choice in cut else "completed")

    def _lifecycle(self, event_type: str, status: str, facts: JsonObject) -> None:
        facts = {**facts, "tokenbus": self.extension}
        resource = response_resource(self.head, status=status, output=self.output, facts=facts)
        self._events.append(Event(event_type, b',"response":' + dumps(resource)))
