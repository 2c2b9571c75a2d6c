"""The life of one connection to NATS: first contact, losing it, coming back, moving away, closing."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nats import errors
from nats.aio.client import Server

from tokenbus.bus_address import split_login
from tokenbus.bus_options import BusOptions, Login
from tokenbus.error_site import error_site
from tokenbus.errors import BusUnavailableError
from tokenbus.nats_client import NatsClient
from tokenbus.stall import StallWatch

_log = logging.getLogger(__name__)

ReconnectCallback = Callable[[], Awaitable[None]]

_DROPS_PER_LOG_LINE: Final = 10_000


class Connection:
    """Owns the nats-py client."""

    def __init__(self, servers: str | Sequence[str], *, name: str, login: Login, options: BusOptions) -> None:
        self.client: Final = NatsClient()
        self.options: Final = options
        self.servers, self._login = split_login(servers, login)
        self.reconnects = 0
        self.error_counts: Counter[str] = Counter()
        self._name = name
        self._opening = True
        self._last_error: Exception | None = None
        self._reconnect_callbacks: dict[object, ReconnectCallback] = {}
        self._stall = StallWatch(after=options.stalled_after, for_s=options.stalled_for_s)
        self._avoid = ""

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    @property
    def dropped_messages(self) -> int:
        return self.error_counts["SlowConsumerError"]

    async def open(self) -> None:
        """Raises `BusUnavailableError`, at once for a refused login, else after `connect_timeout_s`."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                await self._connect()
        except (TimeoutError, OSError, errors.Error, ImportError, ValueError) as error:
            cause = self._last_error or error
            reason = str(cause) or type(cause).__name__
            if isinstance(cause, ImportError):
                reason += '; install what such logins need: pip install "nats-py[nkeys]"'
            waited_s = time.monotonic() - started
            raise BusUnavailableError(self.servers, waited_s=waited_s, reason=reason) from cause
        finally:
            if not self.client.is_connected:
                await self.client.close()
        self._opening = False

    async def _connect(self) -> None:
        options, login = self.options, self._login
        await self.client.connect(
            servers=self.servers,
            name=self._name,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            max_reconnect_attempts=-1,
            reconnect_to_server_handler=self._next_server,
            reconnect_time_wait=options.reconnect_wait_s,  # pyright: ignore[reportArgumentType]  says int, sleeps so long
            ping_interval=options.ping_interval_s,  # pyright: ignore[reportArgumentType]  the same
            max_outstanding_pings=2,
            pending_size=options.buffer_bytes,
            flush_timeout=options.flush_timeout_s,
            user=login.user,
            password=login.password,
            token=login.token,
            user_credentials=login.credentials_file,
            nkeys_seed=login.nkey_seed_file,
            tls=login.tls,
            tls_hostname=login.tls_hostname,
        )

    async def close(self) -> None:
        """Sends what is still queued, if it can within `flush_timeout_s`, and closes for good."""
        if not await self.client.close_within(self.options.flush_timeout_s):
            _log.warning("closed without the server's word that it has every message", extra={"servers": self.servers})

    def on_reconnect(self, callback: ReconnectCallback) -> Callable[[], None]:
        """`callback` runs after each reconnect, beside the others, and is cancelled if the connection is lost again.

        Returns what takes it back.
        """
        key = object()
        self._reconnect_callbacks[key] = callback

        def forget() -> None:
            self._reconnect_callbacks.pop(key, None)

        return forget

    def stream_healthy(self) -> None:
        """JetStream did what it can not do without its quorum."""
        self._stall.healthy()

    async def stream_failed(self) -> None:
        """JetStream gave no answer, or none that helps: at some time (`stall.py`), try another server."""
        now = time.monotonic()
        url = self.client.connected_url
        if not self._stall.failed(now) or len(self.client.server_pool) < 2 or url is None:
            return
        extra = {"server": url.netloc, "for_s": round(self._stall.stalled_s(now), 1)}
        _log.warning("connected, but JetStream does not answer; moving to another server", extra=extra)
        self._avoid = url.netloc
        self._stall.moved(now)
        await self.client.force_reconnect()

    def _next_server(self, servers: list[Server], info: dict[str, object]) -> tuple[Server, float]:
        """Which server to try next and after how many seconds: the least failed, at random, jittered."""
        del info
        elsewhere = [server for server in servers if server.uri.netloc != self._avoid] or servers
        self._avoid = ""
        failures = min(server.reconnects for server in elsewhere)
        candidates = [server for server in elsewhere if server.reconnects == failures]
        wait_s = min(self.options.reconnect_wait_s * 2 ** min(failures, 16), self.options.reconnect_wait_max_s)
        return random.choice(candidates), wait_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter

    async def _on_error(self, error: Exception) -> None:
        """Runs inside nats-py's read loop, so it must not raise, except to give up a first connect."""
        kind = type(error).__name__
        self.error_counts[kind] += 1
        self._last_error = error
        if self._opening:
            if "authorization violation" in str(error).lower() or isinstance(error, errors.SecureConnWantedError):
                raise error
            return
        if isinstance(error, errors.SlowConsumerError):
            if self.error_counts[kind] % _DROPS_PER_LOG_LINE == 1:
                extra = {"subject": error.subject, "dropped": self.error_counts[kind]}
                _log.error("a subscription does not keep up; messages are dropped", extra=extra)
            return
        _log.warning("bus error", extra={"error": kind, "problem": str(error)})

    async def _on_disconnect(self) -> None:
        if not self.client.is_closed:
            _log.warning("bus disconnected", extra={"servers": self.servers})

    async def _on_reconnect(self) -> None:
        self.reconnects += 1
        self._stall.reconnected()
        url = self.client.connected_url
        server = url.netloc if url is not None else ""
        _log.warning("bus reconnected", extra={"server": server, "reconnects": self.reconnects})
        async with asyncio.TaskGroup() as callbacks:
            for callback in tuple(self._reconnect_callbacks.values()):
                callbacks.create_task(_contained(callback))


async def _contained(callback: ReconnectCallback) -> None:
    try:
        await callback()
    except Exception as error:  # noqa: BLE001 - the outermost edge of a callback
        _log.error("a reconnect callback failed", extra={"error": error_site(error)})
