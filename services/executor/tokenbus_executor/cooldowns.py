"""The cool-downs of all targets, as all executors see them: a bucket, watched, and changed by compare and set.

Reading costs nothing, so a request to a healthy target pays nothing. Writes happen when a target fails, recovers, or is
tried again. One that the bus refuses changes no answer: it is logged, and the target's state stays what it was.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from pydantic import ValidationError

from tokenbus.bus import Bus, KvChange
from tokenbus.cancel_guard import cancel_guard
from tokenbus.error_site import error_site
from tokenbus.errors import BusError, WrongLastSequenceError
from tokenbus_executor.failover.cooling import (
    CoolingPolicy,
    after_failure,
    claimed,
    ended_well,
    released,
    renewed,
    shown_life,
)
from tokenbus_schemas import CoolDown, Standing, Target, cooldown_key
from tokenbus_schemas.cooldown import READY
from tokenbus_translate import UpstreamFailure

_log = logging.getLogger(__name__)

FORGET_S: Final = 600.0
"""How long an entry outlives its meaning. A target that nobody asked for so long counts as new."""
_TRIES: Final = 5
"""Of one change against others' changes of the same entry."""


Change = Callable[[CoolDown | None], CoolDown | None]


class CoolDowns:
    """What is known of targets that failed, as far as the watch of the bucket has told."""

    def __init__(self, bus: Bus, *, bucket: str, policy: CoolingPolicy, clock: Callable[[], float]) -> None:
        """`clock`: Unix seconds."""
        self._bus = bus
        self._bucket = bucket
        self._policy = policy
        self._clock = clock
        self._entries: dict[str, CoolDown] = {}
        self._revisions: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._claims: dict[str, tuple[Target, str]] = {}

    def on_change(self, change: KvChange) -> None:
        """For the watch of the bucket."""
        if change.revision < self._revisions.get(change.key, 0):
            return  # older than what we wrote ourselves
        if change.value is None:
            self._forget(change.key)
        else:
            self._keep(change.key, change.value, change.revision)

    def standing(self, target: Target) -> Standing:
        """How a target stands now."""
        entry = self._entries.get(_key(target))
        return READY if entry is None else entry.standing(now=self._clock())

    async def change_within(self, seconds: float) -> None:
        """Returns after so many seconds, or as soon as any target's state has changed."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def claim(self, target: Target, *, probe: str) -> bool:
        """Whether `probe` is now the one request that tries the target. Raises `BusError`."""
        is_ours = await self._change(
            target, lambda entry: entry and claimed(entry, probe=probe, now=self._clock(), lease_s=self._policy.lease_s)
        )
        if is_ours:
            self._claims[_key(target)] = (target, probe)
        return is_ours

    async def keep_claims(self) -> NoReturn:
        """Renews the claims of this executor's requests for as long as they are under way."""
        while True:
            await asyncio.sleep(self._policy.lease_s / 3)
            for key, (target, probe) in list(self._claims.items()):
                if not await self._renew(target, probe=probe) and self._claims.get(key) == (target, probe):
                    del self._claims[key]

    async def _renew(self, target: Target, *, probe: str) -> bool:
        """False: there is no such claim any more."""
        try:
            return await self._change(
                target,
                lambda entry: entry and renewed(entry, probe=probe, now=self._clock(), lease_s=self._policy.lease_s),
            )
        except BusError as error:
            self._log_trouble(target, error)
            return True

    async def show_life(self, target: Target, *, probe: str) -> None:
        """The request that tries the target has seen a first event."""
        await self._try(
            target,
            lambda entry: entry and shown_life(entry, probe=probe, now=self._clock(), lease_s=self._policy.lease_s),
        )

    async def release(self, target: Target, *, probe: str) -> None:
        """The request that tried the target ended without a verdict."""
        await self._try(target, lambda entry: entry and released(entry, probe=probe))

    async def fail(self, target: Target, *, failure: UpstreamFailure) -> None:
        """A request to the target failed, at whatever point."""

        def change(entry: CoolDown | None) -> CoolDown | None:
            return after_failure(entry, target=target, failure=failure, now=self._clock(), policy=self._policy)

        await self._try(target, change)

    async def end_well(self, target: Target, *, probe: str | None) -> None:
        """A request to the target was answered to its end; `probe` if it was the one that tried it."""
        key = _key(target)
        entry = self._entries.get(key)
        if entry is None or not ended_well(entry, probe=probe, now=self._clock()):
            return
        try:
            with cancel_guard():
                await self._bus.kv_delete(self._bucket, key, revision=self._revisions[key])
        except WrongLastSequenceError:
            return  # it has failed meanwhile, which is the newer word
        except BusError as error:
            self._log_trouble(target, error)
            return
        self._forget(key)
        _log.info("a target works again", extra=_fields(target))

    async def _try(self, target: Target, change: Change) -> None:
        try:
            await self._change(target, change)
        except BusError as error:
            self._log_trouble(target, error)

    async def _change(self, target: Target, change: Change) -> bool:
        """Write what `change` makes of the entry, on whatever others have made of it; whether there was a change."""
        key = _key(target)
        for _ in range(_TRIES):
            before = self._entries.get(key)
            wanted = change(before)
            if wanted is None:
                return False
            value = wanted.model_dump_json().encode()
            ttl_s = max(wanted.until, wanted.probe_until, self._clock()) - self._clock() + FORGET_S
            try:
                with cancel_guard():
                    revision = await self._write(key, value, ttl_s=ttl_s)
            except WrongLastSequenceError:
                await self._look_again(key)
                continue
            self._keep(key, value, revision)
            self._tell(target, before=before, after=wanted)
            return True
        return False

    async def _write(self, key: str, value: bytes, *, ttl_s: float) -> int:
        revision = self._revisions.get(key)
        if revision is None:
            return await self._bus.kv_create(self._bucket, key, value, ttl_s=ttl_s)
        return await self._bus.kv_update(self._bucket, key, value, revision=revision, ttl_s=ttl_s)

    async def _look_again(self, key: str) -> None:
        with cancel_guard():
            found = await self._bus.kv_get(self._bucket, key)
        if found is None:
            self._forget(key)
        else:
            self._keep(key, found.value, found.revision)

    def _keep(self, key: str, value: bytes, revision: int) -> None:
        try:
            self._entries[key] = CoolDown.model_validate_json(value)
        except ValidationError:
            _log.error("an entry of the cool-downs can not be read; it is ignored", extra={"key": key})
            self._entries.pop(key, None)
        self._revisions[key] = revision
        self._changed.set()

    def _forget(self, key: str) -> None:
        self._entries.pop(key, None)
        self._revisions.pop(key, None)
        self._changed.set()

    def _tell(self, target: Target, *, before: CoolDown | None, after: CoolDown) -> None:
        if after.opened > (before.opened if before is not None else 0):
            extra = {**_fields(target), "code": after.code, "seconds": round(after.until - after.failed_at, 1)}
            _log.warning("a target cools down", extra=extra)

    def _log_trouble(self, target: Target, error: BusError) -> None:
        _log.warning("cannot write a cool-down", extra={**_fields(target), "error": error_site(error)})


def _key(target: Target) -> str:
    return cooldown_key(target.provider, api=target.api, model=target.model)


def _fields(target: Target) -> dict[str, str]:
    return {"provider": target.provider, "upstream_model": target.model, "api": target.api}
