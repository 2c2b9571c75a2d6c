"""One delivery of one request: from the work order to its terminal event.

    attempt > 1?  ended before → publish the end again; else go on behind a fence, from where the answer stands: the
                  last checkpoint of its tools, or its beginning. What was said beyond is said anew, or the answer fails
    attempt 1?    the id may have been used before: RESULTS is asked while the provider is, and nothing is published
                  until that has answered. Ended before → publish that end again
    out of time, or stopped → end at once, without the provider
    call targets and run tools, round by round, publish events as they come
    terminal event: stored by compare and set, then published; whoever called us acknowledges the work last

Three things may end the streaming early: the deadline, a stop message, a failing upstream. A cancel from outside is a
shutdown and ends nothing: the work goes back to the queue. So does it when the bus fails. An error of our own, be it in
ending the request, ends it as `internal_error`: it would fail again wherever it went.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, cast

from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.terminal import Ended, Fence, Lost, OvertakenError, Stored
from tokenbus_executor.calls import Calls
from tokenbus_executor.errors import StopRequest
from tokenbus_executor.handover import Moved
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.stops import Stop
from tokenbus_executor.surroundings import Surroundings
from tokenbus_executor.tool_loop import ToolLoop
from tokenbus_schemas import ErrorBody, ErrorCode, Event, EventLine, RequestId, Tenant, WorkOrder, response_id
from tokenbus_schemas.subjects import Channel
from tokenbus_translate import Ending, ResponseAssembly, ResponseHead
from tokenbus_translate.resource import bare_failure

_log = logging.getLogger(__name__)

_LOOK_S: Final = 10.0
"""How long RESULTS is asked whether a request id was used before, as long as an end is tried to be written there."""
_LOOK_PAUSE_S: Final = 0.1
_BUG: Final = ErrorBody(ErrorCode.INTERNAL_ERROR, "an error of the executor; its log has the detail")


class Answer:
    """One attempt at one request."""

    def __init__(
        self,
        order: WorkOrder,
        *,
        attempt: int,
        around: Surroundings,
        headers: Mapping[str, str],
        unreadable: ErrorBody | None = None,
    ) -> None:
        """`headers`: those of the work. `unreadable`: why its request is not to be had; then it ends so."""
        self._unreadable = unreadable
        self._order = order
        self._attempt = attempt
        self._around = around
        self._tenant = Tenant(order.tenant)
        self._request_id = RequestId(order.request_id)
        subjects = around.topology.subjects
        subject = subjects.events(self._tenant, Channel(order.channel), self._request_id, attempt)
        self._unused = asyncio.Event()
        """Set once it is known that the request id was not used before."""
        self._publisher = EventPublisher(
            around.bus, subject=subject, attempt=attempt, gate=self._unused, published=order.published
        )
        self._assembly = ResponseAssembly(_head(order, attempt=attempt), created=order.published > 0)
        if order.dropped:
            self._assembly.extension["dropped"] = order.dropped
        self._calls = Calls(
            order,
            attempt=attempt,
            assembly=self._assembly,
            publisher=self._publisher,
            around=around,
            headers=headers,
        )
        self._rounds = ToolLoop(
            order,
            attempt=attempt,
            assembly=self._assembly,
            publisher=self._publisher,
            calls=self._calls,
            tools=around.tools,
        )
        self._ended_before: Ended | None = None
        self._outcome: Mapping[str, object] = {}

    @property
    def outcome(self) -> Mapping[str, object]:
        """What the log line about the end says."""
        return self._outcome

    @property
    def moved(self) -> bool:
        """Whether the work has gone to another pool, where its request is still wanted."""
        return self._outcome.get("outcome") == "moved"

    async def run(self) -> None:
        """Returns when the terminal event is stored and published, or the work has moved to another pool.

        Raises `OvertakenError` where a later attempt has begun, and `BusError`.
        """
        expected = 0
        if self._attempt > 1:
            before = await self._around.terminal.fence(self._tenant, self._request_id, attempt=self._attempt)
            if isinstance(before, Ended):
                await self._repeat(before)
                return
            expected = before.sequence
            self._unused.set()
            await self._around.stops.overtake(self._order, attempt=self._attempt)
        try:
            events = await self._last_events()
            if isinstance(events, Moved):
                self._outcome = {"outcome": "moved", "pool": events.pool}
            elif isinstance(events, Ended):
                await self._repeat(events)
            else:
                await self._end(events, expected=expected)
        except Exception as error:
            if isinstance(error, OvertakenError) or _is_of_bus(error):
                raise
            _log.exception("an answer failed", extra={"request_id": self._request_id, "error": error_site(error)})
            await self._end(await self._failure(), expected=expected)
        finally:
            self._calls.close()

    async def _failure(self) -> list[Event]:
        """The end after an error of ours, with what came before it if it can still be told."""
        try:
            await self._rounds.interrupt("failed")
            return self._assembly.fail(_BUG)
        except Exception as error:
            if _is_of_bus(error):
                raise
            _log.exception("the end is bare", extra={"request_id": self._request_id, "error": error_site(error)})
            return [bare_failure(self._assembly.head, _BUG)]

    async def _repeat(self, ended: Ended) -> None:
        await self._publisher.send(ended.line)
        self._outcome = {"outcome": "had ended before"}

    async def _last_events(self) -> list[Event] | Moved | Ended:
        """Streams the answer; returns the events that are not published yet, the terminal one last.

        `Ended`: the request id was used before, for a request that ended so.
        """
        order = self._order
        async with self._around.stops.watched(order, attempt=self._attempt) as stop:
            # An earlier attempt that still ran in this process has been silenced just now.
            if self._attempt > 1 and (lost := await self._rounds.take_up()) is not None:
                return self._assembly.fail(lost)
            if self._unreadable is not None:
                return self._assembly.fail(self._unreadable)
            remaining_s = order.deadline - time.time()
            if remaining_s <= 0:
                await self._rounds.interrupt("deadline")
                return self._assembly.fail(_out_of_time(order))
            try:
                async with asyncio.timeout(remaining_s):
                    ended = await self._unless_stopped(stop)
            except TimeoutError:
                await self._rounds.interrupt("deadline")
                return self._assembly.fail(_out_of_time(order))
        if ended is None:
            await self._rounds.interrupt("cancelled")
            return self._assembly.cancel()
        if isinstance(ended, Ended):
            await self._rounds.interrupt("cancelled")
        if isinstance(ended, Moved | Ended):
            return ended
        if isinstance(ended, ErrorBody):
            return self._assembly.fail(ended)
        return self._assembly.finish(ended, now=int(time.time()))

    async def _unless_stopped(self, stop: Stop) -> Ending | ErrorBody | Moved | Ended | None:
        """How the calls ended, or the request had; None where a user cancelled. Raises `OvertakenError`."""
        ended: Ending | ErrorBody | Moved | None = None
        said: list[StopRequest] = []
        try:
            stop.check()
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(stop.watch())
                if not self._unused.is_set():
                    group.create_task(self._look_for_an_end())
                ended = await self._rounds.run()
                watcher.cancel()
        except* StopRequest as stopped:
            said += _leaves(stopped)
        if self._ended_before is not None:
            return self._ended_before
        for request in said:
            if request.overtaken_by is not None:
                raise OvertakenError(attempt=self._attempt, newer=request.overtaken_by)
        return None if said else ended

    async def _look_for_an_end(self) -> None:
        """Raises `StopRequest` where the request id was used before; else events may leave."""
        found = await self._look()
        if found is None:
            self._unused.set()
            return
        self._ended_before = found if isinstance(found, Ended) else None
        raise StopRequest(overtaken_by=found.attempt if isinstance(found, Fence) else None)

    async def _look(self) -> Ended | Fence | None:
        """While RESULTS elects a leader, the provider writes on. Raises `BusError`."""
        give_up_at = time.monotonic() + _LOOK_S
        while True:
            try:
                return await self._around.terminal.look(self._tenant, self._request_id)
            except BusError:
                if time.monotonic() >= give_up_at:
                    raise
            await asyncio.sleep(_LOOK_PAUSE_S)

    async def _end(self, events: list[Event], *, expected: int) -> None:
        """Store the terminal event, then publish it with what comes before it.

        Someone else ended the request: publish that end. A later attempt has begun: raise `OvertakenError`.
        """
        last = self._publisher.last_words(events)
        stored = await self._around.terminal.store(
            self._tenant, self._request_id, last.line, expected_sequence=expected
        )
        head = self._assembly.head
        self._outcome = {
            "outcome": EventLine(last.line).type,
            "provider": head.provider,
            "upstream_model": head.upstream_model,
            "api": head.api,
        }
        match stored:
            case Stored():
                for message in last.messages:
                    await self._publisher.send(message)
            case Lost(winner=Ended(line=line)):
                self._outcome = {"outcome": "was ended by another"}
                await self._publisher.send(line)
            case Lost(winner=Fence(attempt=newer)):
                raise OvertakenError(attempt=self._attempt, newer=newer)
            case Lost():
                self._outcome = {"outcome": "ended so long ago that its end has expired"}


def _head(order: WorkOrder, *, attempt: int) -> ResponseHead:
    target = order.targets[0]
    return ResponseHead(
        response_id=response_id(RequestId(order.request_id)),
        model=order.model,
        created_at=int(order.accepted_at),
        echo=_echo(order),
        provider=target.provider,
        upstream_model=target.model,
        api=target.api,
        attempt=attempt,
        request_id=order.request_id,
    )


def _echo(order: WorkOrder) -> Mapping[str, object]:
    """The request, whose metadata says what was left out: clients of OpenAI's read that, and nothing of ours."""
    if not order.dropped:
        return order.request
    metadata: dict[str, str] = order.request.get("metadata") or {}
    return {**order.request, "metadata": {**metadata, "tokenbus.dropped": ", ".join(order.dropped)[:512]}}


def _out_of_time(order: WorkOrder) -> ErrorBody:
    allowed_s = round(order.deadline - order.accepted_at, 3)
    return ErrorBody(ErrorCode.DEADLINE_EXCEEDED, f"the {allowed_s:g} s this request had, queueing included, are over")


def _is_of_bus(error: Exception) -> bool:
    """Also inside the group that a `TaskGroup` makes of what its body raises."""
    if isinstance(error, ExceptionGroup):
        inner = cast("tuple[Exception, ...]", error.exceptions)
        return any(_is_of_bus(one) for one in inner)
    return isinstance(error, BusError)


def _leaves(group: ExceptionGroup[StopRequest]) -> list[StopRequest]:
    return [
        leaf
        for inner in group.exceptions
        for leaf in (_leaves(inner) if isinstance(inner, ExceptionGroup) else [inner])
    ]
