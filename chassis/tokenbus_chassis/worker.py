"""The pull loop: takes messages from the queues of one stream, as many as it has slots, and runs a handler for each.

- No message waits in here: one is only asked for when a slot is free, and each slot asks again by itself (`pulls.py`),
  so a short job never waits for a long one.
- A message in hand is heartbeaten from its receipt until it is settled, so ack_wait may be short and a killed worker's
  messages are soon with another.
- Whatever happens to the server (restart, empty store, deleted consumer, new leader), pulling goes on afterwards.
- `stop`, then `finish`: nothing is lost or left waiting for ack_wait. A handler sees `CancelledError` only when the
  process shuts down; its message is handed back then, and is soon with another worker. A user's cancel is no business
  of this file.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from tokenbus.bus import Bus, Message, Subscription
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.allocation import slots_by_rank
from tokenbus_chassis.delivery import Delivery, delivery
from tokenbus_chassis.in_hand import InHand
from tokenbus_chassis.pulls import Pull, PullBook, PullTimes

_log = logging.getLogger(__name__)

Handler = Callable[[Delivery], Awaitable[None]]
Repair = Callable[[], Awaitable[object]]

_NS: Final = 1_000_000_000
_RETRY_DELAYS_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
_REPAIR_PAUSE_S: Final = 0.5
_CUT_OFF_S: Final = 1.0
"""How often it is looked whether the bus is back; overdue pulls stay overdue until then."""


class Worker:
    """Runs `handler` for the messages of `stream`, at most `slots` at once. Pulls while inside `running()`.

    `consumers`: names, in order of priority. `rank`: of a consumer, by its name; so is `group`. `rooms`: how many more
    messages the groups that it names may be asked for, asked at each pull. `reserve`: the share of the slots that
    is kept from each rank after the first and from those after it (`allocation.py` says what all this means).
    `ack_wait_s`: the consumers'; heartbeats come three times as often unless `heartbeat_s` says otherwise. `repair`:
    called when a consumer does not exist, until it does, and after every reconnect, since the server may have come back
    empty and another process may have made our consumers, but not the rest of what we need; usually `ensure_topology`.

    A handler settles its delivery. One that raises is logged, by place and not by text, and its message handed back
    with a delay that grows with the attempt; so is one that is left unsettled.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stream: str,
        consumers: Sequence[str],
        slots: int,
        handler: Handler,
        rank: Callable[[str], int] = lambda _: 0,
        group: Callable[[str], str] = lambda _: "",
        rooms: Callable[[], Mapping[str, int]] | None = None,
        reserve: Sequence[float] = (),
        ack_wait_s: float = 15.0,
        heartbeat_s: float | None = None,
        repair: Repair | None = None,
        retry_delays_s: Sequence[float] = _RETRY_DELAYS_S,
        times: PullTimes | None = None,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._slots = slots
        self._rank = rank
        self._group = group
        self._rooms = rooms
        self._reserve = reserve
        self._times = times
        self._set_queues(consumers)
        self._handler = handler
        self._heartbeat_s = ack_wait_s / 3 if heartbeat_s is None else heartbeat_s
        self._repair = repair
        self._in_hand = InHand(stream, retry_delays_s=retry_delays_s, left=self._left)
        self._tasks: asyncio.TaskGroup | None = None
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._stopping = False
        self._wake = asyncio.Event()
        self._wakes_at = 0.0
        self._missing = asyncio.Event()
        self._troubled: set[int] = set()
        """Queues whose trouble was logged and is not over."""

    @property
    def in_hand(self) -> int:
        """Messages whose handler runs."""
        return len(self._in_hand)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Pulls while inside. Leaving without `stop` and `finish` hands back whatever is in hand."""
        forget = self._bus.on_reconnect(self._on_reconnect)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            sides = [tasks.create_task(side()) for side in (self._tend, self._beat, self._mend)]
            try:
                await self._start_over()
                yield self
            finally:
                forget()
                await self.stop()
                await self.finish(deadline_s=0.0)
                for side in sides:
                    side.cancel()

    async def serve(self, consumers: Sequence[str]) -> None:
        """Pull from these queues from now on; messages in hand go on, whatever queue they came from."""
        before = self._book
        self._set_queues(consumers)
        self._book.take_over(before)
        self._troubled.clear()
        if self._tasks is not None:
            await self._start_over()

    def look_again(self) -> None:
        """There may be room in a group that had none."""
        self._wake.set()

    async def stop(self) -> None:
        """Take nothing more; what was on its way is handed back. Messages in hand go on."""
        self._stopping = True
        if self._subscription is not None:
            await self._subscription.drain()

    async def finish(self, *, deadline_s: float) -> int:
        """After `stop`: wait for the messages in hand, at most `deadline_s`, then cancel their handlers and hand them
        back; how many those were.
        """
        return await self._in_hand.finish(deadline_s=deadline_s)

    def _set_queues(self, consumers: Sequence[str]) -> None:
        self._queue_numbers = {consumer: number for number, consumer in enumerate(consumers)}
        if len(self._queue_numbers) != len(consumers):
            raise ValueError(f"consumers: {', '.join(consumers)} names one twice; each may serve a worker once")
        self._pull_subjects = [f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}" for consumer in consumers]
        ranks = [*map(self._rank, consumers)]
        slots = slots_by_rank(self._slots, ranks=ranks, reserve=self._reserve)
        groups = [*map(self._group, consumers)]
        self._book = PullBook(ranks=ranks, slots=slots, groups=groups, times=self._times)

    async def _on_reconnect(self) -> None:
        self._missing.set()
        await self._start_over()

    async def _start_over(self) -> None:
        """At the start, and after every reconnect: the old connection's requests may be answered or not, so they are
        left behind with their inbox.
        """
        if self._stopping:
            return
        before = self._subscription
        self._inbox = self._bus.new_inbox()
        self._book.reset()
        self._subscription = await self._bus.subscribe_inline(f"{self._inbox}.*.*", self._on_message)
        await self._in_hand.heartbeat()
        await self._pull()
        if before is not None:
            await before.drain()

    def _on_message(self, message: Message) -> None:
        if message.reply:
            self._on_delivery(delivery(message, bus=self._bus))
        elif message.subject.startswith(self._inbox):
            self._on_status(message)
        # `_tend` asks for more in the turn after the handler's first: what that one sends goes first.
        asyncio.get_running_loop().call_soon(self._wake.set)

    def _on_delivery(self, arrived: Delivery) -> None:
        queue = self._queue_numbers.get(arrived.consumer)  # None: it is not served any more
        if queue is None or not self._book.delivered(queue, waiting=arrived.waiting):
            self._start(self._in_hand.hand_back(arrived))
            return
        running = self._in_hand.find(arrived)
        if running is None and not self._stopping:
            self._in_hand.take(arrived, self._start(self._handle(arrived)))
            return
        self._book.finished(self._rank(arrived.consumer))
        if running is None:
            self._start(self._in_hand.hand_back(arrived))
        elif running.settled:
            self._start(self._in_hand.settle_again(arrived, settled=running))
        else:
            # The server lost sight of us for longer than ack_wait; the message is still being worked on right here.
            running.renew(arrived)
            self._start(self._in_hand.heartbeat())

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        assert self._tasks is not None, "nothing is subscribed before `running`"
        return self._tasks.create_task(work)

    def _on_status(self, message: Message) -> None:
        _, queue, number = message.subject.rsplit(".", 2)
        status, description = int(message.headers.get("Status", "0")), message.headers.get("Description", "")
        now = asyncio.get_running_loop().time()
        verdict = self._book.answered(int(queue), int(number), now, status=status, description=description)
        if verdict == "fine":
            self._troubled.discard(int(queue))
            return
        if verdict == "missing":
            self._missing.set()
        if int(queue) not in self._troubled:
            self._troubled.add(int(queue))
            extra = {"consumer": self._consumer(int(queue)), "status": status, "description": description}
            _log.warning("a consumer gives no messages", extra={"stream": self._stream, **extra})

    async def _handle(self, current: Delivery) -> None:
        """The outermost edge of a message: nothing that its handler does reaches further."""
        try:
            await self._handler(current)
            if not current.settled:
                self._in_hand.log_failure("a handler left its message unsettled", current)
                await self._in_hand.retry(current)
        except asyncio.CancelledError:
            await self._in_hand.hand_back(current)
            raise
        except Exception as error:  # noqa: BLE001 - see above
            self._in_hand.log_failure("a handler failed", current, error=error_site(error))
            await self._in_hand.retry(current)
        finally:
            self._in_hand.leave(current)
        await self._pull()

    def _left(self, current: Delivery) -> None:
        self._book.finished(self._rank(current.consumer))

    async def _pull(self) -> None:
        """Ask for what the free slots allow."""
        if self._stopping or not self._bus.connected:
            return
        loop = asyncio.get_running_loop()
        pulls = self._book.plan(loop.time(), group_rooms=self._rooms() if self._rooms is not None else None)
        if not pulls:
            return
        try:
            for pull in pulls:
                reply = f"{self._inbox}.{pull.queue}.{pull.number}"
                await self._bus.publish(self._pull_subjects[pull.queue], _body(pull), reply=reply)
        except BusError as error:
            # The book finds them lost and asks again.
            _log.warning("cannot pull", extra={"stream": self._stream, "error": error_site(error)})
        if self._book.next_due(loop.time()) < self._wakes_at:
            self._wake.set()

    async def _tend(self) -> None:
        """Asks again when an answer is overdue, or a queue has rested."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            self._wake.clear()
            if self._bus.connected:
                lost = self._book.expire(loop.time())
                if lost:
                    _log.warning("pulls went unanswered", extra={"stream": self._stream, "pulls": lost})
                await self._pull()
            now = loop.time()
            self._wakes_at = self._book.next_due(now) if self._bus.connected else now + _CUT_OFF_S
            try:
                async with asyncio.timeout_at(self._wakes_at):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if self._bus.connected:
                await self._in_hand.heartbeat()

    async def _mend(self) -> None:
        while True:
            await self._missing.wait()
            self._missing.clear()
            if self._repair is not None:
                try:
                    await self._repair()
                except BusError as error:
                    _log.warning("cannot repair", extra={"stream": self._stream, "error": error_site(error)})
                    self._missing.set()
                    await asyncio.sleep(_REPAIR_PAUSE_S)

    def _consumer(self, number: int) -> str:
        return self._pull_subjects[number].rpartition(".")[2]


def _body(pull: Pull) -> bytes:
    return b'{"batch":1,"expires":%d,"idle_heartbeat":%d}' % (int(pull.wait_s * _NS), int(pull.heartbeat_s * _NS))
