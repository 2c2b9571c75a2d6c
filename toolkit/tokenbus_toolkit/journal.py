"""The journal of tool calls, on the bus: claims, renewals, results. The rules are in `journal_entry`."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import ValidationError

from tokenbus.bus import Bus, KvEntry
from tokenbus.errors import BusError, PayloadTooLargeError, StreamFullError, WrongLastSequenceError
from tokenbus.tool_journal import journal_bucket
from tokenbus_schemas.tools import ToolCall, ToolResult
from tokenbus_toolkit import results
from tokenbus_toolkit.journal_entry import (
    ClaimEntry,
    LeaseWatch,
    ResultEntry,
    call_digest,
    read_entry,
    standing,
)
from tokenbus_toolkit.results import StopReason

_log = logging.getLogger(__name__)
T = TypeVar("T")

_RETRY_S: Final = 0.2
_FIRST_LOOK_S: Final = 0.02
_LONGEST_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class JournalTimes:
    """Seconds."""

    lease_s: float = 8.0
    """A claim that was not renewed for so long belongs to a dead runner: longer than an election of the stream's."""
    renew_s: float = 2.0
    """How often a running call renews its claim."""
    give_up_s: float = 30.0
    """How long a journal that does not answer is asked again."""
    keep_s: float = 60.0
    """An entry lives this much longer than its request, for clocks that differ."""


@dataclass(slots=True)
class Claim:
    """The right to run a call. `revision` is that of the last write; `lock` lets one write at a time."""

    call: ToolCall
    entry: ClaimEntry
    revision: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    closed: bool = False
    """The result is stored or the claim released: a late renewal must not write over it."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else holds the claim, alive or dead."""

    call: ToolCall
    idempotent: bool


class Journal:
    """Of one host, which calls itself `runner`."""

    def __init__(self, bus: Bus, *, root: str, runner: str, times: JournalTimes | None = None) -> None:
        self.times: Final = times or JournalTimes()
        self._bus = bus
        self._bucket = journal_bucket(root)
        self._runner = runner

    async def claim(self, call: ToolCall, *, idempotent: bool) -> Claim | Busy | ToolResult:
        """The right to run the call; or its result, from an earlier delivery or because nothing can be run."""
        entry = self._entry(call, idempotent=idempotent)
        value = entry.model_dump_json().encode()

        async def attempt() -> Claim | Busy | ToolResult | None:
            try:
                revision = await self._bus.kv_create(self._bucket, call.key, value, ttl_s=self._ttl_s(call))
            except WrongLastSequenceError:
                found = await self._bus.kv_get(self._bucket, call.key)
                return None if found is None else self._found(found, call, entry=entry, idempotent=idempotent)
            return Claim(call, entry, revision)

        return await self._persist(attempt, call) or results.unavailable()

    async def settle(self, busy: Busy, *, stopping: asyncio.Future[StopReason]) -> Claim | ToolResult | None:
        """Waits for the runner of a call: its result, or a claim where it is dead and the call may be run again.

        None: `stopping` was done first, or the call's deadline passed.
        """
        call = busy.call
        watch = LeaseWatch(self.times.lease_s)
        pause_s = _FIRST_LOOK_S
        while True:
            settled = await self._persist(lambda: self._look(busy, watch), call)
            if settled is None:
                return results.unknown()
            if not isinstance(settled, Busy):
                return settled
            await asyncio.wait({stopping}, timeout=pause_s)
            if stopping.done() or time.time() >= call.deadline:
                return None
            pause_s = min(2 * pause_s, _LONGEST_LOOK_S)

    async def renew(self, claim: Claim) -> bool:
        """Whether the claim still holds. False: somebody took this host for dead. A bus that fails proves nothing."""
        async with claim.lock:
            if claim.closed:
                return True
            try:
                try:
                    await self._write(claim, claim.entry.model_dump_json().encode())
                except WrongLastSequenceError:
                    return await self._verdict(claim) is None
            except BusError as error:
                _log.warning("a claim was not renewed", extra={"key": claim.call.key, "error": type(error).__name__})
            return True

    async def store(self, claim: Claim, result: ToolResult) -> ToolResult:
        """Puts the result in the claim's place. What everybody is to be told: this result, or one that was first."""
        entry = ResultEntry(claim=claim.entry.claim, digest=claim.entry.digest, result=result)
        value = entry.model_dump_json().encode()

        async def attempt() -> ToolResult | None:
            try:
                await self._write(claim, value)
            except WrongLastSequenceError:
                return await self._verdict(claim)
            return result

        async with claim.lock:
            claim.closed = True
            stored = await self._persist(attempt, claim.call)
        if stored is None:
            _log.error("a tool's result was not stored", extra={"key": claim.call.key})
        return stored or result

    async def release(self, claim: Claim) -> None:
        """Gives the call back unrun, or to be run again: only for what may be."""
        async with claim.lock:
            claim.closed = True
            try:
                await self._bus.kv_delete(self._bucket, claim.call.key, revision=claim.revision)
            except BusError as error:
                _log.warning("a claim was not released", extra={"key": claim.call.key, "error": type(error).__name__})

    async def _look(self, busy: Busy, watch: LeaseWatch) -> Claim | Busy | ToolResult:
        call = busy.call
        entry = self._entry(call, idempotent=busy.idempotent)
        found = await self._bus.kv_get(self._bucket, call.key)
        if found is None:
            return await self.claim(call, idempotent=busy.idempotent)
        known = self._found(found, call, entry=entry, idempotent=busy.idempotent)
        if not isinstance(known, Busy) or not watch.expired(found.revision, now=asyncio.get_running_loop().time()):
            return known
        dead = read_entry(found.value)
        takeover = Claim(call, entry, found.revision)
        try:
            if known.idempotent and isinstance(dead, ClaimEntry) and dead.idempotent:
                await self._write(takeover, entry.model_dump_json().encode())
                return takeover
            result = results.unknown()
            verdict = ResultEntry(claim=entry.claim, digest=entry.digest, result=result)
            await self._write(takeover, verdict.model_dump_json().encode())
        except WrongLastSequenceError:
            return busy
        _log.warning("the runner of a tool died; the outcome is unknown", extra={"key": call.key})
        return result

    def _found(
        self, found: KvEntry, call: ToolCall, *, entry: ClaimEntry, idempotent: bool
    ) -> Claim | Busy | ToolResult:
        try:
            there = read_entry(found.value)
        except ValidationError:
            _log.error("the journal has an entry that can not be read", extra={"key": call.key})
            return results.unknown()
        match standing(there, claim=entry.claim, digest=entry.digest):
            case "mine":
                return Claim(call, entry, found.revision)
            case "running":
                return Busy(call, idempotent)
            case "ended":
                assert isinstance(there, ResultEntry)
                return there.result.model_copy(update={"replayed": True})
            case "other call":
                _log.error("two different tool calls have the same key", extra={"key": call.key})
                return results.other_call()

    async def _verdict(self, claim: Claim) -> ToolResult | None:
        """After a refused write: the result that was first. None: the claim is still ours, as of another revision.

        The other writer then was an earlier write of ours, whose answer was lost; or the server lost the bucket.
        """
        found = await self._bus.kv_get(self._bucket, claim.call.key)
        if found is None:
            claim.revision = 0
            return None
        there = read_entry(found.value)
        if isinstance(there, ResultEntry):
            return there.result
        if there.claim != claim.entry.claim:
            return results.unknown()
        claim.revision = found.revision
        return None

    async def _write(self, claim: Claim, value: bytes) -> None:
        claim.revision = await self._bus.kv_update(
            self._bucket, claim.call.key, value, revision=claim.revision, ttl_s=self._ttl_s(claim.call)
        )

    async def _persist(self, attempt: Callable[[], Awaitable[T | None]], call: ToolCall) -> T | None:
        """`attempt` until it gives something; None when the bus fails for `give_up_s`."""
        until = asyncio.get_running_loop().time() + self.times.give_up_s
        while True:
            try:
                outcome = await attempt()
                if outcome is not None:
                    return outcome
            except (StreamFullError, PayloadTooLargeError) as error:
                _log.error("the journal does not take a call", extra={"key": call.key, "error": str(error)})
                return None
            except BusError as error:
                _log.warning("the journal does not answer", extra={"key": call.key, "error": type(error).__name__})
            if asyncio.get_running_loop().time() >= until:
                return None
            await asyncio.sleep(_RETRY_S)

    def _entry(self, call: ToolCall, *, idempotent: bool) -> ClaimEntry:
        return ClaimEntry(
            claim=secrets.token_hex(8), runner=self._runner, digest=call_digest(call), idempotent=idempotent
        )

    def _ttl_s(self, call: ToolCall) -> float:
        return max(0.0, call.deadline - time.time()) + self.times.keep_s
