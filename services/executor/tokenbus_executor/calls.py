"""The upstream calls of one answer: targets are called one after another until one answers.

A call leaves no trace in the response before its first useful event, so the next target starts afresh, and nobody sees
the change. After it, a stream that breaks ends the answer with what came, unless the request asks for a restart: then
the next target starts afresh too, and its first event voids what the broken one said. Every call's outcome is recorded
at its end, where all executors see it: a stream that breaks in the middle counts as a failure of its target.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from tokenbus.errors import StreamFullError
from tokenbus_executor.background import BackgroundCall
from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.failover import Failover, GiveUp, TargetFailure, Try, Wait
from tokenbus_executor.handover import Moved, hand_over, hand_over_or_line_up, next_hop
from tokenbus_executor.history import told_to
from tokenbus_executor.holding import Holding
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.reading import read_upstream
from tokenbus_executor.surroundings import Surroundings
from tokenbus_executor.upstream_notes import UpstreamNote
from tokenbus_executor.upstreams import Upstream, UpstreamRequest, upstream_request
from tokenbus_schemas import ErrorBody, ErrorCode, EventLine, RequestError, Target, WorkOrder
from tokenbus_schemas.work import HOPS_PER_SUBMISSION, Strategy
from tokenbus_translate import Ending, ResponseAssembly

_log = logging.getLogger(__name__)

_NO_END: Final = ErrorBody(ErrorCode.INTERNAL_ERROR, "the upstream call returned without an end")
_UNRESUMED: Final = ErrorBody(ErrorCode.EXECUTOR_LOST, "the answer could not be resumed; what came of it is kept")
_RELEASE_S: Final = 1.0
"""How long a call that was cut short may take to tell others that they may try its target."""


RequestFor = Callable[[Target], Mapping[str, object]]


class _Resumption(NamedTuple):
    note: UpstreamNote
    told: Sequence[EventLine]
    begun: bool


class Calls:
    """Calls targets until one answers; once for every round of the answer."""

    def __init__(
        self,
        order: WorkOrder,
        *,
        attempt: int,
        assembly: ResponseAssembly,
        publisher: EventPublisher,
        around: Surroundings,
        headers: Mapping[str, str],
    ) -> None:
        """`headers`: those of the work, for the case that it moves on."""
        self._order = order
        self._assembly = assembly
        self._publisher = publisher
        self._around = around
        self._headers = headers
        self._holding = Holding(around.permits)
        self._probe = f"{order.tenant}.{order.request_id}.{attempt}"
        self._restarts = order.recovery == "restart"
        self._targets: Sequence[Target] = order.targets
        self._strategy: Strategy = order.strategy
        self._failover = self._new_failover()
        self._begin = 0
        self._attempt = attempt
        self._background: BackgroundCall | None = None
        self._resumption: _Resumption | None = None
        self._recorded: set[Target] = set()
        self._tried: list[object] = []

    def prefer(self, target: Target) -> None:
        """Try it first from now on: another round is best put to whoever knows the conversation."""
        self._targets, self._strategy = [target, *(other for other in self._targets if other != target)], "ordered"

    def resume(self, note: UpstreamNote, *, told: Sequence[EventLine], begun: bool) -> None:
        """Go on with the call that an earlier attempt noted, before any other. `told`: all that was published, of this
        call too if it had `begun` to answer: then no other call may answer in its place."""
        self._resumption = _Resumption(note, told, begun)

    @property
    def begin(self) -> int:
        """The output index of the first item of the next call."""
        return len(self._assembly.output) if self._resumption is None else self._resumption.note.begin

    def close(self) -> None:
        """No more is called."""
        self._holding.release()

    async def abandon(self) -> None:
        """Nobody wants the answer any more: end it at the provider, where it runs there without us."""
        if self._resumption is not None:
            await self._resume(self._resumption, give_up=True)
        elif self._background is not None:
            await self._background.cancel()

    async def run(self, request_for: RequestFor) -> Ending | ErrorBody | Moved:
        """How the calls ended, the events published; why there is no answer, or no whole one; or where the work went.

        `request_for`: the normalised request, as it is to be put to a target. Raises `BusError`. A cancel closes the
        provider's connection.
        """
        self._failover, cooldowns = self._new_failover(), self._around.cooldowns
        self._begin = self.begin
        if self._resumption is not None:
            resumed = await self._resume(self._resumption)
            if resumed is not None:
                return resumed
        while True:
            standings = [cooldowns.standing(target) for target in self._targets]
            decision = self._failover.next(now=time.time(), deadline=self._order.deadline, standings=standings)
            match decision:
                case Try(position, claim):
                    ended = await self._try(position, request_for, claim=claim)
                    if ended is not None:
                        return ended
                case Wait(seconds):
                    await cooldowns.change_within(seconds)
                case GiveUp(error):
                    return error

    async def _try(self, position: int, request_for: RequestFor, *, claim: bool) -> Ending | ErrorBody | Moved | None:
        """None: another target may do better."""
        target = self._targets[position]
        if target.pool not in self._around.pools:
            return await self._move(position)
        self._assembly.head = replace(
            self._assembly.head, provider=target.provider, upstream_model=target.model, api=target.api
        )
        try:
            row = self._around.providers.row(target.provider)
            upstream = await self._around.upstreams.upstream(target, row=row)
            asked = told_to(target, request_for(target), order=self._order)
            request = upstream_request(asked, target=target, row=row, assembly=self._assembly)
        except UpstreamError as error:
            self._failed(position, TargetFailure.of_upstream(error.failure))
            return None
        except RequestError as error:
            # Nothing was tried; another target's API may be able to say it.
            self._failover.failed(position, TargetFailure.of_request(error), now=time.time())
            return None
        is_elsewhere = target.pool != self._order.targets[0].pool
        if is_elsewhere and self._holding.would_wait(target.provider) and self._bound_here() is None:
            return await self._move(position)  # to wait in the provider's own queue, where it takes no slot
        probe, ended, cooldowns = self._probe if claim else None, None, self._around.cooldowns
        try:
            await self._holding.take(target.provider)
            ready = cooldowns.standing(target).state != "cooling"  # it may have failed others meanwhile
            if ready and (probe is None or await cooldowns.claim(target, probe=probe)):
                ended = await self._call(position, upstream, request, probe=probe)
        finally:
            if not isinstance(ended, Ending):
                self._holding.release()
        return ended

    async def _call(
        self, position: int, upstream: Upstream, request: UpstreamRequest, *, probe: str | None
    ) -> Ending | ErrorBody | None:
        target, cooldowns = upstream.target, self._around.cooldowns
        started = time.monotonic()

        async def on_first_event() -> None:
            now = time.monotonic()
            self._around.latencies.note(target, seconds=now - started, now=now)
            if probe is not None:
                await cooldowns.show_life(target, probe=probe)

        settled = False
        background = self._in_background(upstream)
        try:
            if background is not None:
                failure = await background.begin(request.body, on_first_event=on_first_event)
            else:
                failure = await read_upstream(
                    upstream,
                    opening=upstream.open(request.body),
                    stream=request.stream,
                    publisher=self._publisher,
                    on_first_event=on_first_event,
                )
            settled = True
        finally:
            if probe is not None and not settled:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RELEASE_S):
                        await cooldowns.release(target, probe=probe)
        stream = request.stream if background is None else background.stream
        if failure is None:
            await cooldowns.end_well(target, probe=probe)
            self.prefer(target)
            return stream.ending or _NO_END
        await self.abandon()
        # One request counts once, however often it tries; but whoever claimed a target owes a verdict.
        if probe is not None or target not in self._recorded:
            self._recorded.add(target)
            await cooldowns.fail(target, failure=failure)
        self._failed(position, TargetFailure.of_upstream(failure))
        if not stream.committed:
            return None
        if not self._restarts:
            return failure.error
        self._assembly.rewind(to=self._begin)
        return None

    def _in_background(self, upstream: Upstream) -> BackgroundCall | None:
        """The call, if its answer can be resumed; only who asks for that pays for it with a later first event."""
        self._background = None
        row, order = upstream.row, self._order
        kept = (
            upstream.target.api == "responses" and row.responses.background and order.request.get("store") is not False
        )
        if kept and order.recovery == "resume":
            self._background = BackgroundCall(
                upstream,
                order=order,
                attempt=self._attempt,
                assembly=self._assembly,
                publisher=self._publisher,
                notes=self._around.tools.notes,
            )
        return self._background

    async def _resume(self, found: "_Resumption", *, give_up: bool = False) -> Ending | ErrorBody | None:
        """None: it could not be resumed, and nothing of it was published; or it was given up."""
        self._resumption = None
        target = found.note.target
        try:
            upstream = await self._around.upstreams.upstream(target, row=self._around.providers.row(target.provider))
        except UpstreamError as error:
            return error.failure.error if found.begun else None
        call = self._in_background(upstream)
        if call is None:
            return _UNRESUMED if found.begun else None
        if give_up:
            await call.cancel_noted(found.note)
            return None

        async def on_first_event() -> None:
            pass

        self._assembly.head = replace(
            self._assembly.head, provider=target.provider, upstream_model=target.model, api=target.api
        )
        failure = await call.resume(found.note, told=found.told, on_first_event=on_first_event)
        if failure is None:
            self.prefer(target)
            return call.stream.ending or _NO_END
        await call.cancel()
        self._background = None
        return failure.error if found.begun else None

    def _failed(self, position: int, failure: TargetFailure) -> None:
        self._failover.failed(position, failure, now=time.time())
        target = self._targets[position]
        said = {"provider": target.provider, "model": target.model, "api": target.api, "code": failure.error.code}
        self._tried.append(said)
        self._assembly.extension["tried"] = self._tried
        _log.warning("a target failed", extra={"request_id": self._order.request_id, **said})

    def _bound_here(self) -> str | None:
        """Why the work may not go to another pool; None: it may."""
        # Where it may restart, the other pool's executor finds what was published here, and goes on from there.
        if self._assembly.started and not self._restarts:
            return "the answer has begun here"
        return f"the work has moved {HOPS_PER_SUBMISSION} times" if self._order.hop % HOPS_PER_SUBMISSION == 0 else None

    async def _move(self, position: int) -> Moved | None:
        """To the queue of the target's pool, with the targets that are left."""
        target = self._targets[position]
        if (bound := self._bound_here()) is not None:
            problem = ErrorBody(ErrorCode.TARGET_UNAVAILABLE, f"pool {target.pool} is served elsewhere, and {bound}")
            self._failed(position, TargetFailure(problem, elsewhere=True))
            return None
        others = [other for other in self._failover.untried() if other is not target]
        order = next_hop(self._order, targets=[target, *others])
        send = hand_over if others else hand_over_or_line_up
        try:
            await send(order, bus=self._around.bus, subjects=self._around.topology.subjects, headers=self._headers)
        except StreamFullError:
            problem = ErrorBody(ErrorCode.OVERLOADED, f"the queue of pool {target.pool} is full")
            self._failed(position, TargetFailure(problem, elsewhere=True))
            return None
        return Moved(target.pool)

    def _new_failover(self) -> Failover:
        around = self._around
        return Failover(
            self._targets,
            strategy=self._strategy,
            policy=around.failover,
            lot=around.chance.random,
            latency_s=lambda target: around.latencies.mean_s(target, now=time.monotonic()),
        )
