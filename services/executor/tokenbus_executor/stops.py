"""Stop messages: the router tells all executors, the one that runs the request stops it.

One subscription per process. Rules:

1. A request that is not running here is remembered for a while: its stop may come before its work does.
2. What was said while we did not listen is in the mark that the router stored before it spoke. `may_have_missed` tells
   when that has to be looked up, so that the usual request pays no look-up (measured: 0.2 ms of its first token).
3. After a reconnect the marks of everything that runs are looked up.
4. An attempt that begins tells the earlier ones of the same request that they are overtaken, should one still run
   somewhere (a process that stood still for longer than ack_wait): two must not talk at once.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import orjson

from tokenbus.bus import Bus, Message
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_executor.errors import StopRequest
from tokenbus_schemas import RequestId, StopReply, Subjects, Tenant, WorkOrder
from tokenbus_schemas.control import STOP_DEADLINE

_log = logging.getLogger(__name__)

REMEMBERED: Final = 10_000
"""Stops of requests that do not run here."""
CLOCK_SLACK_S: Final = 2.0
"""How far the broker's clock and ours may be apart when we decide what we may have missed."""

_REPLY: Final = orjson.dumps(StopReply().model_dump())
_OVERTAKEN: Final = b"overtaken by "
Key = tuple[str, str]


class Stop:
    """Whether one running attempt is to stop, and why."""

    def __init__(self, *, attempt: int) -> None:
        self.attempt = attempt
        self._overtaken_by: int | None = None
        self._said = asyncio.Event()

    def cancel(self) -> None:
        """A user wants no more of it."""
        self._said.set()

    def overtake(self, newer: int) -> None:
        """Attempt `newer` has taken over; an attempt that is not older takes no notice."""
        if newer > self.attempt:
            self._overtaken_by = newer
            self._said.set()

    def check(self) -> None:
        """Raises `StopRequest` if it is to stop."""
        if self._said.is_set():
            raise StopRequest(overtaken_by=self._overtaken_by)

    async def watch(self) -> NoReturn:
        """Raises `StopRequest` when it is to stop: the sibling of whatever is to be stopped."""
        await self._said.wait()
        raise StopRequest(overtaken_by=self._overtaken_by)


class Stops:
    """Which requests are to stop. `listen()` first."""

    def __init__(self, bus: Bus, *, subjects: Subjects, marks: str, clock: Callable[[], float]) -> None:
        """`marks`: the bucket in which the router marks cancelled requests. `clock`: Unix seconds."""
        self._bus = bus
        self._subjects = subjects
        self._marks = marks
        self._clock = clock
        self._running: dict[Key, Stop] = {}
        self._earlier: OrderedDict[Key, None] = OrderedDict()
        self._heard_all_since = float("inf")

    async def listen(self) -> None:
        """Raises `BusError`."""
        await self._bus.subscribe(self._subjects.all_stops(), self._on_stop)
        await self._bus.flush()
        self._heard_all_since = self._clock()
        self._bus.on_reconnect(self._on_reconnect)

    def may_have_missed(self, accepted_at: float) -> bool:
        """Whether a stop for a request of that broker time (Unix seconds) may have been said without our knowing."""
        return accepted_at < self._heard_all_since + CLOCK_SLACK_S

    @asynccontextmanager
    async def watched(self, order: WorkOrder, *, attempt: int) -> AsyncGenerator[Stop]:
        """While inside, whatever stops this attempt is told to the yielded `Stop`; what was said before is in it.

        Raises `BusError` where the mark can not be looked up.
        """
        key = (order.tenant, order.request_id)
        stop = Stop(attempt=attempt)
        if key in self._earlier:
            del self._earlier[key]
            stop.cancel()
        before = self._running.get(key)
        if before is not None:
            before.overtake(attempt)
        self._running[key] = stop
        try:
            if self.may_have_missed(order.accepted_at):
                await self._look_up(key, stop)
            yield stop
        finally:
            if self._running.get(key) is stop:
                del self._running[key]

    async def overtake(self, order: WorkOrder, *, attempt: int) -> None:
        """Tell earlier attempts, wherever they run, that this one has begun. Raises `BusError`."""
        subject = self._subjects.stop(Tenant(order.tenant), RequestId(order.request_id))
        await self._bus.publish(subject, _OVERTAKEN + str(attempt).encode())

    async def _look_up(self, key: Key, stop: Stop) -> None:
        if await self._bus.kv_get(self._marks, ".".join(key)) is not None:
            stop.cancel()

    async def _on_stop(self, message: Message) -> None:
        key = self._subjects.parse_call(message.subject)
        stop = self._running.get(key)
        if message.data == STOP_DEADLINE:
            if stop is not None and message.reply:
                await self._bus.publish(message.reply, _REPLY)  # its own clock ends it
        elif message.data.startswith(_OVERTAKEN):
            if stop is not None:
                stop.overtake(int(message.data.removeprefix(_OVERTAKEN)))
        elif stop is None:
            self._remember(key)
        else:
            stop.cancel()
            if message.reply:
                await self._bus.publish(message.reply, _REPLY)

    def _remember(self, key: Key) -> None:
        self._earlier[key] = None
        if len(self._earlier) > REMEMBERED:
            self._earlier.popitem(last=False)
            self._heard_all_since = self._clock()  # from here on its mark has to be looked up

    async def _on_reconnect(self) -> None:
        self._heard_all_since = self._clock()
        try:
            for key, stop in tuple(self._running.items()):
                await self._look_up(key, stop)
        except BusError as error:
            _log.warning("cannot look up what was cancelled meanwhile", extra={"error": error_site(error)})
