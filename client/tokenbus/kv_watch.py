"""Follows a bucket without a consumer: everything that is in it, then every change.

The bucket's stream publishes each message again once it is stored, with its sequence (`BucketSpec`). A plain
subscription on the bucket's own subjects would not do: it also sees writes that the stream refused, and no sequence.

Rules: the subscription stands before the load, and changes that arrive during the load wait; so none is missed.
Sequences rise over a bucket, so what is not newer than the last one told is a repetition. After a reconnect everything
is loaded again and compared, for the bucket may have changed meanwhile, or be a new and empty one.
"""

import asyncio
import logging
from itertools import chain, repeat
from typing import Final

from tokenbus.bus_core import Message, Subscription
from tokenbus.bus_kv import KvBus, KvCallback, KvChange, is_deletion, key_of
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus.stored import StoredMessage, parse_stored
from tokenbus.stream_specs import CHANGES_PREFIX, bucket_stream

_log = logging.getLogger(__name__)

_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class KvWatch:
    """Made by `Bus.kv_watch`."""

    def __init__(self, bus: KvBus, bucket: str, callback: KvCallback) -> None:
        self._bus = bus
        self._bucket = bucket
        self._callback = callback
        self._revisions: dict[str, int] = {}
        self._last = 0
        self._held: list[StoredMessage] | None = None
        """Changes that wait for the load; None: no load is going on."""
        self._loading = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._forget = bus.on_reconnect(self._load_again)

    async def start(self) -> None:
        """Every entry has been told when this returns. Raises what `read_stored` raises."""
        subject = f"{CHANGES_PREFIX}.$KV.{self._bucket}.>"
        self._subscription = await self._bus.subscribe(subject, self._on_change)
        await self._bus.flush()
        await self._load()

    async def stop(self) -> None:
        """No further callbacks."""
        self._forget()
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    def _on_change(self, message: Message) -> None:
        stored = parse_stored(message.data, message.headers)
        if self._held is not None:
            self._held.append(stored)
        elif stored.sequence > self._last:
            self._tell(stored)

    async def _load(self) -> None:
        async with self._loading:
            self._held = []
            try:
                self._compare(await self._read_all())
                for stored in self._held:
                    if stored.sequence > self._last:
                        self._tell(stored)
            finally:
                self._held = None

    async def _read_all(self) -> list[StoredMessage]:
        stream, subjects = bucket_stream(self._bucket), f"$KV.{self._bucket}.>"
        page = await self._bus.read_stored(stream, subjects)
        loaded = page.messages
        while page.remaining:
            page = await self._bus.read_stored(stream, subjects, start_sequence=page.next_sequence)
            loaded.extend(page.messages)
        return loaded

    def _compare(self, loaded: list[StoredMessage]) -> None:
        """What is in the bucket is right, even where its revisions are lower: then the bucket is another one."""
        here = {key_of(stored.subject, bucket=self._bucket) for stored in loaded if not is_deletion(stored)}
        for key in self._revisions.keys() - here:
            self._callback(KvChange(key, None, self._revisions.pop(key)))
        self._last = loaded[-1].sequence if loaded else 0
        for stored in loaded:
            key = key_of(stored.subject, bucket=self._bucket)
            if key in here and self._revisions.get(key) != stored.sequence:
                self._tell(stored)

    def _tell(self, stored: StoredMessage) -> None:
        key = key_of(stored.subject, bucket=self._bucket)
        self._last = max(self._last, stored.sequence)
        if is_deletion(stored):
            if self._revisions.pop(key, None) is not None:
                self._callback(KvChange(key, None, stored.sequence))
        else:
            self._revisions[key] = stored.sequence
            self._callback(KvChange(key, stored.data, stored.sequence))

    async def _load_again(self) -> None:
        """Until it works, or the connection is lost again: the bucket may have to be made anew first."""
        for wait_s in chain(_RETRY_S, repeat(_RETRY_S[-1])):
            try:
                await self._load()
            except BusError as error:
                _log.warning("cannot load a bucket", extra={"bucket": self._bucket, "error": error_site(error)})
                await asyncio.sleep(wait_s)
            else:
                return
