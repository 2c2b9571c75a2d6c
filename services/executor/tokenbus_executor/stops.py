"""Stop messages: the router tells all executors, the one that runs the request stops it.

One subscription per process. A request that is not running here is remembered for a while, because its stop may come
before its work does. What was said before we listened is in the mark that the router stored: `may_have_missed` tells
when that has to be looked up, so that the usual request pays no look-up (measured: 0.2 ms of its first token).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import orjson

from tokenbus.bus import Bus, Message
from tokenbus_executor.errors import StopRequest
from tokenbus_schemas import StopReply, Subjects

REMEMBERED: Final = 10_000
"""Stops of requests that do not run here; the oldest are forgotten, the stored mark still has them."""
CLOCK_SLACK_S: Final = 2.0
"""How far the broker's clock and ours may be apart when we decide what we may have missed."""

_REPLY: Final = orjson.dumps(StopReply().model_dump())
Key = tuple[str, str]


class Stops:
    """Which requests are to stop. `listen()` first."""

    def __init__(self, bus: Bus, *, subjects: Subjects, clock: Callable[[], float]) -> None:
        """`clock`: Unix seconds."""
        self._bus = bus
        self._subjects = subjects
        self._clock = clock
        self._running: dict[Key, asyncio.Event] = {}
        self._earlier: OrderedDict[Key, None] = OrderedDict()
        self._listening_since = float("inf")

    async def listen(self) -> None:
        """Subscribe; after a reconnect what was said in between counts as missed."""
        await self._bus.subscribe(self._subjects.all_stops(), self._on_stop)
        await self._bus.flush()
        self._listening_since = self._clock()
        self._bus.on_reconnect(self._on_reconnect)

    def may_have_missed(self, accepted_at: float) -> bool:
        """Whether a stop for a request of that broker time (Unix seconds) may have come before we listened."""
        return accepted_at < self._listening_since + CLOCK_SLACK_S

    @contextmanager
    def running(self, tenant: str, request_id: str) -> Generator[asyncio.Event]:
        """While inside, a stop for the request sets the event; one that came earlier has set it already."""
        key = (tenant, request_id)
        stop = asyncio.Event()
        if key in self._earlier:
            del self._earlier[key]
            stop.set()
        self._running[key] = stop
        try:
            yield stop
        finally:
            if self._running.get(key) is stop:
                del self._running[key]

    async def _on_stop(self, message: Message) -> None:
        address = self._subjects.parse_call(message.subject)
        stop = self._running.get(address)
        if stop is None:
            self._earlier[address] = None
            if len(self._earlier) > REMEMBERED:
                self._earlier.popitem(last=False)
            return
        stop.set()
        if message.reply:
            await self._bus.publish(message.reply, _REPLY)

    async def _on_reconnect(self) -> None:
        self._listening_since = self._clock()


async def stop_when(stop: asyncio.Event) -> None:
    """Raises `StopRequest` once the event is set: the sibling of whatever is to be stopped."""
    await stop.wait()
    raise StopRequest
