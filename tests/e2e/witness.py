"""Somebody who reads every answer of a Tokenbus as it passes, to say afterwards how each request ended."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tokenbus.bus import Bus, Message
from tokenbus_schemas import DEFAULT_ROOT, DEFAULT_TENANT, EventLine, RequestId, Subjects, split_message
from tokenbus_schemas.subjects import tenant

SUBJECTS = Subjects(DEFAULT_ROOT)


class Witness:
    """Made by `witness()`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.published: defaultdict[str, set[bytes]] = defaultdict(set)
        """The terminal events of each request. The same one may be published again."""
        self.attempts: defaultdict[str, dict[int, float]] = defaultdict(dict)
        """When each attempt at a request published first, by the clock of the event loop."""

    async def open(self) -> None:
        await self._bus.subscribe(f"{DEFAULT_ROOT}.events.>", self._on_events)
        await self._bus.flush()

    def _on_events(self, message: Message) -> None:
        address = SUBJECTS.parse_events(message.subject)
        self.attempts[address.request_id].setdefault(address.attempt, asyncio.get_running_loop().time())
        for line in split_message(message.data):
            if line.is_terminal:
                self.published[address.request_id].add(line.raw)

    async def stored_end(self, request_id: str) -> bytes | None:
        """What stands in RESULTS."""
        subject = SUBJECTS.result(tenant(DEFAULT_TENANT), RequestId(request_id))
        found = await self._bus.last_message_at_leader(f"{DEFAULT_ROOT.upper()}_RESULTS", subject)
        return None if found is None or not EventLine(found.data).is_terminal else found.data

    async def check_one_end(self, request_id: str) -> EventLine:
        """The one end of a request: stored, and published, and no other one beside it."""
        stored = await self.stored_end(request_id)
        assert stored is not None, f"{request_id} has no end"
        assert self.published[request_id] == {stored}, f"{request_id} has other ends than the one that is stored"
        return EventLine(stored)


@asynccontextmanager
async def witness(nats_url: str) -> AsyncGenerator[Witness]:
    async with Bus.connect(nats_url, name="tests-witness") as bus:
        watching = Witness(bus)
        await watching.open()
        yield watching
