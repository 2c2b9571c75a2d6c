"""The calls that this process has in hand: each runs once, and everybody who asked hears of it.

A second delivery of a call that is here joins it: it only adds an address to tell. Deliveries to other processes meet
in the journal. Who waits hears something every `RUNNING_INTERVAL_S`, whatever the call waits for.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_schemas.tools import RUNNING_INTERVAL_S, SHARED_SCOPE, ToolCall, ToolProgress, ToolResult, ToolRunning
from tokenbus_toolkit import results
from tokenbus_toolkit.invocation import STOP_GRACE_S, Outcome, call_fields, invoke
from tokenbus_toolkit.journal import Busy, Claim, Journal
from tokenbus_toolkit.live_call import LiveCall, ServedTool
from tokenbus_toolkit.results import StopReason
from tokenbus_toolkit.slots import SlotsFullError
from tokenbus_toolkit.work import Work

_log = logging.getLogger(__name__)

_BEAT_S: Final = RUNNING_INTERVAL_S / 4
_PROGRESS_GAP_S: Final = 0.1
_MARGIN_BYTES: Final = 4096
"""What the journal's entry and the message's headers need beside a result."""
_STOPS: Final = 3
_CANCELS_KEPT: Final = 4096
"""A cancel may overtake its call: so many of the last ones are remembered."""


class Calls:
    """Tasks are born in `group`, which must outlive the last call."""

    def __init__(self, bus: Bus, journal: Journal, *, group: asyncio.TaskGroup) -> None:
        self._bus = bus
        self._journal = journal
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._live: dict[str, LiveCall] = {}
        self._leftovers: set[Work] = set()
        self._cancelled: OrderedDict[str, None] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_hand(self) -> int:
        return len(self._live)

    def deliver(self, served: ServedTool, call: ToolCall, *, reply: str) -> None:
        """Take a call; never waits. Everything from here on is told to `reply`, if it is not empty."""
        live = self._live.get(call.key)
        if live is None:
            now = self._loop.time()
            live = LiveCall(call, served, self._loop.create_future(), started=now, told=now)
            self._live[call.key] = live
            self._idle.clear()
            if call.key in self._cancelled:
                live.stop("cancelled")
            self._group.create_task(self._handle(live), name=f"call {call.key}")
        elif (live.call.name, live.call.arguments) != (call.name, call.arguments):
            self._group.create_task(self.tell([reply], results.other_call()))
            return
        if reply and reply not in live.audience:
            live.audience.append(reply)

    def cancel(self, key: str) -> None:
        """End the call with this key, if it is here or still comes."""
        self._cancelled[key] = None
        if len(self._cancelled) > _CANCELS_KEPT:
            self._cancelled.popitem(last=False)
        live = self._live.get(key)
        if live is not None:
            live.stop("cancelled")

    async def beat(self) -> None:
        """Runs until cancelled: tells who waits that their calls run, and renews claims."""
        running = ToolRunning()
        while True:
            await asyncio.sleep(_BEAT_S)
            now = self._loop.time()
            for live in tuple(self._live.values()):
                if now - live.told >= RUNNING_INTERVAL_S:
                    live.told = now
                    await self.tell(live.audience, running)
                if live.claim is not None and now - live.renewed >= self._journal.times.renew_s:
                    live.renewed = now
                    self._group.create_task(self._renew(live, live.claim))

    async def drain(self, *, timeout_s: float) -> None:
        """Wait for the calls in hand; after `timeout_s`, stop what still runs and tell what is known of it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("tool calls are stopped, since the host stops", extra={"calls": len(self._live)})
            for live in self._live.values():
                live.stop("shutdown")
            await self._idle.wait()
        await self._stop_leftovers()

    async def tell(
        self, audience: Iterable[str], message: BaseModel, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Who is not reached asks again, and the journal has the answer."""
        payload = message.model_dump_json().encode()
        for reply in audience:
            try:
                await self._bus.publish(reply, payload, headers=headers)
            except (BusError, ValueError) as error:  # ValueError: an address that can not be one
                _log.warning("a caller was not reached", extra={"error": type(error).__name__})

    async def _handle(self, live: LiveCall) -> None:
        try:
            result = await self._answer(live)
        except Exception as error:  # noqa: BLE001 - the outermost edge: every call has a result
            _log.error("a tool call broke", extra={"key": live.call.key, "error": error_site(error)})
            result = results.unknown()
        finally:
            del self._live[live.call.key]
            if not self._live:
                self._idle.set()
        if result is None:
            return
        await self.tell(live.audience, result)
        live.served.stats.count(result.outcome, seconds=self._loop.time() - live.started)
        level = logging.DEBUG if result.outcome == "ok" else logging.INFO
        said = {"outcome": result.outcome, "replayed": result.replayed}
        _log.log(level, "tool call ended", extra={**call_fields(live.served.tool, live.call), **said})

    async def _answer(self, live: LiveCall) -> ToolResult | None:
        """None: nobody ran it and this host goes; the caller will find another one."""
        scope = live.served.tool.description.scope
        if scope not in (SHARED_SCOPE, live.call.tenant):
            return results.other_tenant()
        standing = await self._attempt(live)
        if not isinstance(standing, Busy):
            return standing
        settled = await self._journal.settle(standing, stopping=live.stopping)
        if settled is None:
            reason: StopReason = live.stopping.result() if live.stopping.done() else "deadline"
            return None if reason == "shutdown" else results.stopped(reason, limit_s=0.0, ignored=False)
        if isinstance(settled, ToolResult):
            return settled
        live.hold(settled, now=self._loop.time())
        again = await self._attempt(live)
        return None if isinstance(again, Busy) else again

    async def _attempt(self, live: LiveCall) -> ToolResult | Busy | None:
        """In a slot: claim the call, if that has not been done, and run it."""
        slots = live.served.slots
        try:
            reason = await self._wait_for_slot(live)
        except SlotsFullError as error:
            if live.claim is not None:
                await self._journal.release(live.claim)
            return results.busy(error.waiting)
        if reason is not None:
            return await self._conclude(live, Outcome(results.not_started(reason), reason=reason, started=False))
        outcome: Outcome | None = None
        try:
            if live.claim is None:
                standing = await self._journal.claim(live.call, idempotent=live.idempotent)
                if not isinstance(standing, Claim):
                    return standing
                live.hold(standing, now=self._loop.time())
            outcome = await self._run(live)
            return await self._conclude(live, outcome)
        finally:
            if outcome is None or outcome.leftover is None:
                slots.give_back()
            else:
                self._keep(outcome.leftover, live.served)

    async def _wait_for_slot(self, live: LiveCall) -> StopReason | None:
        """None: a slot is taken. Raises `SlotsFullError`."""
        slots = live.served.slots
        waiter = slots.take()
        if waiter is None:
            return None
        try:
            left_s = live.call.deadline - time.time()
            await asyncio.wait({waiter, live.stopping}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            slots.forget(waiter)
            raise
        if waiter.done():
            return None
        slots.forget(waiter)
        return live.stopping.result() if live.stopping.done() else "deadline"

    async def _run(self, live: LiveCall) -> Outcome:
        async def report(progress: ToolProgress) -> None:
            now = self._loop.time()
            if now - live.progressed >= _PROGRESS_GAP_S:
                live.progressed = live.told = now
                await self.tell(live.audience, progress)

        limit = min(live.served.tool.limits.max_output_bytes, self._bus.max_payload - _MARGIN_BYTES)
        return await invoke(
            live.served.tool,
            live.call,
            stopping=live.stopping,
            report=report,
            group=self._group,
            max_output_bytes=limit,
        )

    async def _conclude(self, live: LiveCall, outcome: Outcome) -> ToolResult | None:
        """The result is stored before anybody hears it."""
        claim = live.claim
        may_run_again = not outcome.started or (live.idempotent and outcome.leftover is None)
        if outcome.reason == "shutdown" and may_run_again:
            if claim is not None:
                await self._journal.release(claim)
            return None
        return outcome.result if claim is None else await self._journal.store(claim, outcome.result)

    def _keep(self, leftover: Work, served: ServedTool) -> None:
        """It has its slot as long as it runs, so no tool runs more often at once than it says."""

        def ended(_: object) -> None:
            self._leftovers.discard(leftover)
            served.slots.give_back()

        served.stats.ignored_stops += 1
        self._leftovers.add(leftover)
        leftover.ended.add_done_callback(ended)

    async def _stop_leftovers(self) -> None:
        """Again and again: who swallows one cancel may not swallow the next. What still runs then keeps us waiting."""
        for _ in range(_STOPS):
            if not self._leftovers:
                return
            for work in self._leftovers:
                work.stop()
            await asyncio.wait({work.ended for work in self._leftovers}, timeout=STOP_GRACE_S)
        if self._leftovers:
            _log.error("tools still run that ignore that they were stopped", extra={"tools": len(self._leftovers)})

    async def _renew(self, live: LiveCall, claim: Claim) -> None:
        if not await self._journal.renew(claim):
            live.stop("superseded")
