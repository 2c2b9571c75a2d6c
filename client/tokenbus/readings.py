"""Opens the reader of an answer, and closes it: that of a request of our own, or attached to anybody's."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tokenbus.bus import Bus
from tokenbus.calls import cancel
from tokenbus.client_options import ClientOptions, OnExit
from tokenbus.errors import RequestRefusedError, TokenbusError
from tokenbus.inbox import Inbox
from tokenbus.live import LiveEvents
from tokenbus.loss import LossWatch
from tokenbus.reader import Reader, Submitted
from tokenbus.replay import AT_ONCE, Replay
from tokenbus.submission import PreparedRequest, again, submit
from tokenbus_schemas import RequestId, Subjects, Tenant
from tokenbus_schemas.headers import MAX_TIMEOUT_S
from tokenbus_schemas.replay import ReplayMode

_log = logging.getLogger(__name__)


class Readings:
    """Of one client."""

    def __init__(self, bus: Bus, *, subjects: Subjects, tenant: Tenant, options: ClientOptions) -> None:
        self._bus = bus
        self._subjects = subjects
        self._tenant = tenant
        self._options = options
        self._replay_turns = asyncio.Semaphore(AT_ONCE)

    def _replay(self, request_id: RequestId) -> Replay:
        subject = self._subjects.replay(self._tenant, request_id)
        return Replay(self._bus, subject=subject, turns=self._replay_turns)

    @asynccontextmanager
    async def submitted(self, request: PreparedRequest, *, live: LiveEvents, on_exit: OnExit) -> AsyncGenerator[Reader]:
        """Sends the request on entering, and reads its events from those of this process; raises as `submit` does."""
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        with live.inbox(request.request_id) as inbox:
            reader = Reader(
                inbox,
                replay=self._replay(request.request_id),
                request_id=request.request_id,
                attached=False,
                deadline=deadline,
                times=self._options.times,
            )
            refused = False
            try:
                try:
                    await submit(self._bus, request, max_bytes=self._options.max_request_bytes)
                except RequestRefusedError:
                    refused = True
                    raise
                reader.submitted = self._accepted(request, deadline=deadline)
                yield reader
            finally:
                if on_exit == "cancel" and not refused and not reader.sequencer.ended:
                    await self._cancel_on_exit(request.request_id)

    def _accepted(self, request: PreparedRequest, *, deadline: float) -> Submitted:
        times = self._options.times
        loss = LossWatch(
            reconnects=self._bus.reconnects,
            may_resubmit=request.may_resubmit,
            lost_s=times.lost_s,
            abandoned_s=times.abandoned_s,
        )

        async def resubmit(number: int) -> None:
            remaining_s = deadline - asyncio.get_running_loop().time()
            once_more = again(request, resubmission=number, remaining_s=remaining_s)
            await submit(self._bus, once_more, max_bytes=self._options.max_request_bytes)

        return Submitted(loss, lambda: self._bus.reconnects, resubmit)

    async def _cancel_on_exit(self, request_id: RequestId) -> None:
        """Tells the router, whatever else is going on: this often runs in a task that is itself being cancelled."""
        try:
            async with asyncio.timeout(self._options.cancel_on_exit_s):
                subject = self._subjects.control(self._tenant, request_id)
                await cancel(self._bus, subject, timeout_s=self._options.call_timeout_s)
        except (TokenbusError, TimeoutError) as error:
            _log.warning(
                "a cancel was not confirmed", extra={"request_id": request_id, "problem": type(error).__name__}
            )

    @asynccontextmanager
    async def attached(self, request_id: RequestId, *, after: int, mode: ReplayMode) -> AsyncGenerator[Reader]:
        """Reads the events of any request, with a subscription of its own."""
        inbox = Inbox(buffer_bytes=self._options.buffer_bytes)

        async def mark_lost() -> None:
            inbox.mark_lost()

        # The subscription is at the server before the first replay is asked for, so nothing falls between the two.
        subject = self._subjects.request_events(self._tenant, request_id)
        subscription = await self._bus.subscribe(subject, lambda message: inbox.put(message.data))
        forget = self._bus.on_reconnect(mark_lost)
        try:
            yield Reader(
                inbox,
                replay=self._replay(request_id),
                request_id=request_id,
                after=after,
                attached=True,
                mode=mode,
                deadline=asyncio.get_running_loop().time() + MAX_TIMEOUT_S,
                times=self._options.times,
            )
        finally:
            forget()
            await subscription.unsubscribe()
