"""Permits: how many answers are with a provider at once, counted over all executors.

A provider with a limit of n has the keys `<provider>.0` to `<provider>.<n - 1>` in a bucket. Whoever creates one holds
that permit; the server lets nobody create a key that exists, so there are never more than n. A key expires unless its
holder renews it: a killed executor's permits are free after the lease. An executor that is out of touch with NATS for
longer (frozen, or cut off) loses its permits while its calls go on; only by these calls may a limit be exceeded.

Every executor watches the bucket, so it knows without asking whether a provider is full. It fetches no work of one that
is (`rooms`), and requests that had been fetched wait in line, one line per provider and executor.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from tokenbus.bus import Bus, KvChange
from tokenbus.cancel_guard import cancel_guard
from tokenbus.error_site import error_site
from tokenbus.errors import BusError, WrongLastSequenceError
from tokenbus_executor.permit_book import PermitBook, room_to_fetch

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 1.0
"""What the watch has missed is found out by trying."""
_TRIES: Final = 8
_CLOSE_S: Final = 2.0


class Permit(NamedTuple):
    """One answer's leave to call one provider."""

    provider: str
    number: int


class Permits:
    """The permits of all providers that have a limit; the others cost nothing."""

    def __init__(self, bus: Bus, *, bucket: str, lease_s: float, most_waiting: int, chance: random.Random) -> None:
        """`lease_s`: whole seconds, else rounded up. `most_waiting`: fetch nothing while so many answers wait."""
        self._bus = bus
        self._bucket = bucket
        self._lease_s = lease_s
        self._most_waiting = most_waiting
        self._chance = chance
        self._limits: Mapping[str, tuple[str, int]] = {}
        self._books: defaultdict[str, PermitBook] = defaultdict(PermitBook)
        self._lines: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._given_back: list[Permit] = []
        self._to_give_back = asyncio.Event()
        self._on_room: Callable[[], None] = lambda: None

    def limit(self, limits: Mapping[str, tuple[str, int]]) -> None:
        """The limits from now on: pool and number by provider."""
        for provider in self._limits.keys() | limits.keys():
            self._changed[provider].set()
        self._limits = limits
        self._on_room()

    def tell_room(self, callback: Callable[[], None]) -> None:
        """`callback` is called whenever `rooms` may have changed."""
        self._on_room = callback

    def on_change(self, change: KvChange) -> None:
        """For the watch of the bucket."""
        provider, _, number = change.key.rpartition(".")
        if number.isdecimal():
            self._books[provider].told(int(number), held=change.value is not None, revision=change.revision)
            self._changed[provider].set()
            self._on_room()

    def rooms(self) -> Mapping[str, int]:
        """How many more requests to fetch, by pool; pools that are not in it have no limit."""
        if not self._limits:
            return {}
        waiting = sum(book.waiting for book in self._books.values())
        return {
            pool: room_to_fetch(
                self._books[provider].spare(limit),
                waiting=self._books[provider].waiting,
                waiting_in_all=waiting,
                most=self._most_waiting,
            )
            for provider, (pool, limit) in self._limits.items()
        }

    def is_full(self, provider: str) -> bool:
        """Whether one more answer would have to wait."""
        if provider not in self._limits:
            return False
        book = self._books[provider]
        return book.spare(self._limits[provider][1]) <= book.waiting

    async def take(self, provider: str) -> Permit | None:
        """A permit, as soon as there is one; None: the provider has no limit. Raises `BusError`.

        A cancel takes nothing, or, in the moment of taking, what the lease gives back.
        """
        if provider not in self._limits:
            return None
        book = self._books[provider]
        book.waiting += 1
        try:
            async with self._lines[provider]:
                return await self._take(provider, book)
        finally:
            book.waiting -= 1
            self._on_room()

    async def _take(self, provider: str, book: PermitBook) -> Permit | None:
        changed = self._changed[provider]
        while provider in self._limits:
            changed.clear()
            numbers = book.untaken(self._limits[provider][1])
            # By lot: executors that want one at the same time rarely want the same.
            for number in self._chance.sample(numbers, min(len(numbers), _TRIES)):
                if await self._create(Permit(provider, number), book):
                    return Permit(provider, number)
                if changed.is_set():
                    break
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await changed.wait()
        return None

    def give_back(self, permit: Permit) -> None:
        """Soon free for others; `keep` tells the bucket."""
        self._given_back.append(permit)
        self._to_give_back.set()

    async def keep(self) -> NoReturn:
        """Renews this executor's permits and gives back what is not needed any more. One task, so that a renewal never
        overtakes the end of its permit.
        """
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + self._lease_s / 3
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(renew_at):
                    await self._to_give_back.wait()
            if loop.time() >= renew_at:
                renew_at = loop.time() + self._lease_s / 3
                await self._renew()
            await self._delete()

    async def close(self) -> None:
        """Gives back all that is held, as far as that is soon done; the lease does the rest. After `keep` has ended."""
        self._given_back += [Permit(provider, number) for provider, book in self._books.items() for number in book.own]
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._delete()

    async def _create(self, permit: Permit, book: PermitBook) -> bool:
        key, before = _key(permit), book.revision_before(permit.number)
        with cancel_guard():
            try:
                revision = await self._write(key, revision=before)
            except WrongLastSequenceError:
                try:
                    # Taken; or its marker has gone or changed meanwhile, and the server knows better than we do.
                    revision = await self._bus.kv_create(self._bucket, key, b"", ttl_s=self._lease_s)
                except WrongLastSequenceError:
                    return False
        book.keep(permit.number, revision=revision)
        return True

    async def _write(self, key: str, *, revision: int) -> int:
        return await self._bus.kv_update(self._bucket, key, b"", revision=revision, ttl_s=self._lease_s)

    async def _renew(self) -> None:
        for provider, book in tuple(self._books.items()):
            for number, revision in tuple(book.own.items()):
                permit = Permit(provider, number)
                if permit in self._given_back:
                    continue
                try:
                    book.keep(number, revision=await self._write(_key(permit), revision=revision))
                except WrongLastSequenceError:
                    await self._retake(permit, book)
                except BusError as error:
                    _log_trouble("cannot renew a permit", permit, error)

    async def _retake(self, permit: Permit, book: PermitBook) -> None:
        """It expired, or the bucket is another one; nobody may have taken it since."""
        try:
            if await self._create(permit, book):
                return
        except BusError as error:
            _log_trouble("cannot take a permit again", permit, error)
            return
        book.drop(permit.number)
        _log.warning("a permit was lost, its call goes on", extra={"provider": permit.provider})

    async def _delete(self) -> None:
        self._to_give_back.clear()
        permits, self._given_back = self._given_back, []
        for permit in permits:
            book = self._books[permit.provider]
            revision = book.own.get(permit.number)
            if revision is None:
                continue  # it was lost before
            try:
                await self._bus.kv_delete(self._bucket, _key(permit), revision=revision)
            except WrongLastSequenceError:
                pass  # it has expired
            except BusError as error:
                _log_trouble("cannot give a permit back, it expires", permit, error)
            book.drop(permit.number)
            self._changed[permit.provider].set()
            self._on_room()


def _key(permit: Permit) -> str:
    return f"{permit.provider}.{permit.number}"


def _log_trouble(what: str, permit: Permit, error: BusError) -> None:
    _log.warning(what, extra={"provider": permit.provider, "error": error_site(error)})
