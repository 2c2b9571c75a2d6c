"""The store of responses: what was answered, and where background responses stand at a given time.

Pure but for one event that wakes the streams of a response when it is cancelled; times are seconds of one clock.
Bounded: the oldest responses are forgotten.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from tokenbus_simulator.ids import STEM, stem_in
from tokenbus_simulator.kept import Kept
from tokenbus_simulator.wire import JsonObject, object_of, objects_of


@dataclass(slots=True, kw_only=True, eq=False)
class Stored:
    """One response of the store."""

    kept: Kept
    stem: str
    started: float
    """When its request arrived."""
    cancelled_at: float | None = None
    connections: int = 0
    """How many streams of it there have been."""
    stamps: list[bytes] = field(default_factory=list[bytes])
    """The stamps sent so far, which all its streams share."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is cancelled or deleted."""

    @property
    def id(self) -> str:
        """Its own id."""
        return self.kept.id.replace(STEM, self.stem)

    def elapsed(self, now: float) -> float:
        """For how long it has been coming into being, which ends when it is cancelled."""
        return (now if self.cancelled_at is None else self.cancelled_at) - self.started

    def resource(self, now: float) -> JsonObject:
        """The response as it is now."""
        generation = self.kept.generation
        if generation is None:
            return self._own(self.kept.final())
        resource = generation.resource(self.elapsed(now))
        return self._own({**resource, "status": "cancelled"} if self.cancelled_at is not None else resource)

    def cancel(self, now: float) -> None:
        """Stops a background response where it is; one that has ended stays as it is."""
        generation = self.kept.generation
        if generation and self.cancelled_at is None and not generation.ended(now - self.started):
            self.cancelled_at = now
            self.stopped.set()

    def conversation(self, now: float) -> list[JsonObject]:
        """All items up to and with its output."""
        return [*self.kept.conversation, *self.output(now)]

    def output(self, now: float) -> list[JsonObject]:
        """Its output items."""
        return objects_of(self.resource(now).get("output"))

    def _own(self, resource: JsonObject) -> JsonObject:
        return object_of(orjson.loads(orjson.dumps(resource).replace(STEM.encode(), self.stem.encode())))


class ResponseStore:
    """The responses of one simulator."""

    def __init__(self, size: int) -> None:
        """`size`: how many responses are kept."""
        self._size = size
        self._stored: dict[str, Stored] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, stored: Stored) -> None:
        """Keeps a response."""
        while len(self._stored) >= self._size:
            del self._stored[next(iter(self._stored))]
        self._stored[stored.id] = stored

    def get(self, response_id: str, *, now: float) -> Stored | None:
        """The response, unless it is unknown or was to be kept no longer."""
        stored = self._stored.get(response_id)
        if stored and stored.kept.retention_s is not None and now - stored.started > stored.kept.retention_s:
            self.remove(response_id)
            return None
        return stored

    def remove(self, response_id: str) -> None:
        """Forgets a response and ends its streams."""
        stored = self._stored.pop(response_id, None)
        if stored:
            stored.stopped.set()

    def items(self, item_ids: Sequence[str], *, now: float) -> dict[str, JsonObject]:
        """Output items of kept responses by their ids; ids of one response share its stem."""
        found: dict[str, JsonObject] = {}
        by_stem = {stored.stem: stored for stored in self._stored.values()} if item_ids else {}
        for item_id in item_ids:
            stored = by_stem.get(stem_in(item_id))
            if stored and self.get(stored.id, now=now):
                found |= {str(item["id"]): item for item in stored.output(now) if item.get("id") == item_id}
        return found
