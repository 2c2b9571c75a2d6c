"""One delivery of one request: from the work order to its terminal event.

    attempt > 1?  ended before → publish the end again; events were published → fail; else go on behind a fence
    out of time, or stopped → end at once, without the provider
    call the target, publish events as they come
    terminal event: stored by compare and set, then published; whoever called us acknowledges the work last

Three things may end the streaming early: the deadline, a stop message, a failing upstream. A cancel from outside is a
shutdown and ends nothing: the work goes back to the queue.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Ended, Fence, Lost, OvertakenError, TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_executor.directory import ProviderDirectory
from tokenbus_executor.errors import StopRequest, UpstreamError
from tokenbus_executor.oversize import FRAME_BYTES, without_output
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.reading import UpstreamCall, read_upstream
from tokenbus_executor.stops import Stops, stop_when
from tokenbus_executor.upstreams import Budgets, UpstreamClients
from tokenbus_schemas import ErrorBody, ErrorCode, Event, RequestError, Subjects, Target, Tenant, WorkOrder, response_id
from tokenbus_schemas.subjects import Channel, RequestId
from tokenbus_translate import (
    ChatStream,
    Ending,
    ResponseAssembly,
    ResponseHead,
    ResponsesStream,
    UpstreamStream,
    responses_body,
    to_chat,
)

_log = logging.getLogger(__name__)

_NO_END: Final = ErrorBody(
    ErrorCode.INTERNAL_ERROR, "the upstream call returned without an end; the log has the detail"
)
_LOST: Final = ErrorBody(ErrorCode.EXECUTOR_LOST, "the executor died after it had published events of this answer")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every answer of a process shares."""

    bus: Bus
    subjects: Subjects
    topology: Topology
    terminal: TerminalWriter
    stops: Stops
    providers: ProviderDirectory
    clients: UpstreamClients
    budgets: Budgets


class Answer:
    """One attempt at one request."""

    def __init__(self, order: WorkOrder, *, attempt: int, around: Surroundings) -> None:
        self._order = order
        self._attempt = attempt
        self._around = around
        self._tenant = Tenant(order.tenant)
        self._request_id = RequestId(order.request_id)
        subject = around.subjects.events(self._tenant, Channel(order.channel), self._request_id, attempt)
        self._publisher = EventPublisher(around.bus, subject=subject, attempt=attempt)
        target = order.targets[0]
        head = ResponseHead(
            response_id=response_id(self._request_id),
            model=order.model,
            created_at=int(order.accepted_at),
            echo=order.request,
            provider=target.provider,
            upstream_model=target.model,
            api=target.api,
            attempt=attempt,
            request_id=order.request_id,
        )
        self._assembly = ResponseAssembly(head)
        self._ending: Ending | None = None
        self._failed: ErrorBody | None = None
        self._outcome = "running"

    async def run(self) -> None:
        """Returns when the terminal event is stored and published.

        Raises `OvertakenError` where a later attempt has begun, and `BusError`.
        """
        expected = 0
        if self._attempt > 1:
            before = await self._around.terminal.fence(self._tenant, self._request_id, attempt=self._attempt)
            if isinstance(before, Ended):
                await self._publisher.publish_lines(before.line)
                return
            expected = before.sequence
            if await self._had_published():
                await self._end(self._assembly.fail(_LOST), expected=expected)
                return
        await self._end(await self._last_events(), expected=expected)

    def log_fields(self) -> dict[str, object]:
        """What the outcome's log line says."""
        target = self._order.targets[0]
        return {
            "request_id": self._order.request_id,
            "tenant": self._order.tenant,
            "model": self._order.model,
            "provider": target.provider,
            "attempt": self._attempt,
            "outcome": self._outcome,
        }

    async def _had_published(self) -> bool:
        subject = self._around.subjects.request_events(self._tenant, self._request_id)
        return await self._around.bus.last_message(self._around.topology.events.name, subject) is not None

    async def _last_events(self) -> list[Event]:
        """Streams the answer; returns the events that are not published yet, the terminal one last."""
        order = self._order
        with self._around.stops.running(order.tenant, order.request_id) as stop:
            if self._around.stops.may_have_missed(order.accepted_at) and await self._is_marked():
                stop.set()
            remaining_s = order.deadline - time.time()
            if remaining_s <= 0:
                return self._assembly.fail(_out_of_time(order))
            try:
                async with asyncio.timeout(remaining_s):
                    stopped = await self._stream_unless_stopped(stop)
            except TimeoutError:
                return self._assembly.fail(_out_of_time(order))
        if stopped:
            return self._assembly.cancel()
        if self._ending is None:
            return self._assembly.fail(self._failed or _NO_END)
        return self._assembly.finish(self._ending, now=int(time.time()))

    async def _stream_unless_stopped(self, stop: asyncio.Event) -> bool:
        """Whether it was stopped."""
        stopped = stop.is_set()
        try:
            async with asyncio.TaskGroup() as group:
                listener = group.create_task(stop_when(stop))
                if not stopped:
                    await self._stream()
                listener.cancel()
        except* StopRequest:
            stopped = True
        return stopped

    async def _stream(self) -> None:
        """Call the target; `_ending` or `_failed` says how that went."""
        try:
            stream, call = self._call(self._order.targets[0])
        except UpstreamError as error:
            self._failed = error.failure.error
            return
        except RequestError as error:
            self._failed = error.body
            return
        await read_upstream(call, stream=stream, publisher=self._publisher, budgets=self._around.budgets)
        self._ending = stream.ending
        if stream.failure is not None:
            self._failed = stream.failure.error

    def _call(self, target: Target) -> tuple[UpstreamStream, UpstreamCall]:
        """What to send where, and what reads the answer. Raises `UpstreamError` and `RequestError`."""
        request = self._order.request
        client = self._around.clients.client(self._around.providers.row(target.provider))
        if target.api == "responses":
            body = responses_body(request, model=target.model)
            return ResponsesStream(self._assembly), UpstreamCall(client, api=target.api, body=body)
        body = to_chat(request, model=target.model)
        stream = ChatStream(self._assembly, choices=request.get("n") or 1)
        return stream, UpstreamCall(client, api=target.api, body=body)

    async def _is_marked(self) -> bool:
        """Whether the router stored a cancel for this request."""
        key = f"{self._order.tenant}.{self._order.request_id}"
        return await self._around.bus.kv_get(self._around.topology.cancelled.name, key) is not None

    async def _end(self, events: list[Event], *, expected: int) -> None:
        """Publish what is left, store the terminal event, publish it too. Lost against another writer: publish its."""
        *before, terminal = events
        await self._publisher.publish(before)
        if len(terminal.fields) + FRAME_BYTES > self._around.bus.max_payload:
            terminal = without_output(terminal)
        self._outcome = terminal.type
        line = self._publisher.number(terminal)
        stored = await self._around.terminal.store(self._tenant, self._request_id, line, expected_sequence=expected)
        if isinstance(stored, Lost):
            if isinstance(stored.winner, Fence):
                raise OvertakenError(attempt=self._attempt, newer=stored.winner.attempt)
            if stored.winner is None:
                return  # it ended so long ago that its end has expired
            line = stored.winner.line
        await self._publisher.publish_lines(line)


def _out_of_time(order: WorkOrder) -> ErrorBody:
    allowed_s = order.deadline - order.accepted_at
    return ErrorBody(ErrorCode.DEADLINE_EXCEEDED, f"the {allowed_s:g} s this request had, queueing included, are over")
