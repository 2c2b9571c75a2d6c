"""The bus: the one typed adapter of nats-py. Its verbs stand in five files, each adding to the one before.

bus_core.py     publish, request, subscribe, flush, reconnects
bus_stored.py   publish with an acknowledgement, read back, delete
bus_ensure.py   streams, consumers and buckets, made and kept as specified
bus_state.py    how full streams and queues are, and emptying a subject
bus_kv.py       get, put, create, update, delete; kv_watch.py follows a bucket
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from tokenbus.bus_core import Message, MessageCallback, Subscription
from tokenbus.bus_kv import KvBus, KvCallback, KvChange, KvEntry
from tokenbus.bus_options import BusOptions, Login
from tokenbus.bus_state import ConsumerState
from tokenbus.kv_watch import KvWatch
from tokenbus.stored import StoredAck, StoredMessage, StoredPage
from tokenbus.stream_specs import BucketSpec, ConsumerSpec, Drift, Ensured, StreamSpec

__all__ = [
    "BucketSpec",
    "Bus",
    "BusOptions",
    "ConsumerSpec",
    "ConsumerState",
    "Drift",
    "Ensured",
    "KvCallback",
    "KvChange",
    "KvEntry",
    "KvWatch",
    "Login",
    "Message",
    "MessageCallback",
    "StoredAck",
    "StoredMessage",
    "StoredPage",
    "StreamSpec",
    "Subscription",
]


class Bus(KvBus):
    """One connection to NATS, with streams and buckets. Made by `Bus.connect`; not for use from several threads."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        servers: str | Sequence[str],
        *,
        name: str,
        login: Login | None = None,
        options: BusOptions | None = None,
    ) -> AsyncGenerator[Self]:
        """A connected bus, open while inside; `name` shows in NATS monitoring.

        `servers`: one or several URLs (`nats://`, `tls://`, `ws://`, `wss://`; a string may hold several with commas),
        with user and password or a token in them, if `login` has none. Leaving drains the subscriptions (their received
        messages are handled), sends what is unsent, and closes, within `drain_timeout_s` and `flush_timeout_s`.

        Raises `BusUnavailableError` when no server takes us, at once for a refused login, else after
        `connect_timeout_s`; `ValueError` for a URL that is none.
        """
        bus = cls(servers, name=name, login=login or Login(), options=options or BusOptions())
        await bus.open()
        try:
            yield bus
        finally:
            await bus.close()

    async def kv_watch(self, bucket: str, callback: KvCallback) -> KvWatch:
        """Tell `callback` every entry of the bucket, then every change, until `KvWatch.stop`.

        All entries have been told when this returns. After a reconnect, and even if the bucket was lost and made anew,
        it is told what differs. For buckets made by `ensure_bucket`. Raises as `kv_get`.
        """
        watch = KvWatch(self, bucket, callback)
        try:
            await watch.start()
        except BaseException:
            await watch.stop()
            raise
        return watch
