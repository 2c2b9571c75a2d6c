"""Plain NATS, typed: publish, request, subscribe, flush. No type of nats-py is seen outside this package's bus files.

What a caller may rely on:

- The connection comes back by itself, however long it takes. `reconnects` counts how often it did.
- A publish waits only when `high_water_bytes` are unsent. What it took is sent in order, unless the server dies before
  it has read it: only `publish_stored` knows that a message is safe.
- The callbacks of one subscription run one after another: a slow one delays the next message, no other subscription.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from tokenbus.bus_connection import Connection, ReconnectCallback
from tokenbus.bus_options import BusOptions, Login
from tokenbus.cancel_guard import cancel_guard
from tokenbus.error_site import error_site
from tokenbus.errors import (
    BusClosedError,
    BusError,
    BusOverflowError,
    BusTimeoutError,
    NoRespondersError,
    PayloadTooLargeError,
)
from tokenbus.nats_client import NatsClient
from tokenbus.nats_shortcuts import NO_HEADERS

_log = logging.getLogger(__name__)

_HEADER_FRAME_BYTES: Final = len(b"NATS/1.0\r\n\r\n")
_HEADER_LINE_BYTES: Final = len(b": \r\n")


class Message(NamedTuple):
    """A received message. `reply` is "" when no answer is wanted."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str


MessageCallback = Callable[[Message], Awaitable[None] | None]


class Subscription:
    """Interest in a subject, until `unsubscribe` or `drain`. Both may be called twice; the second does nothing."""

    def __init__(self, subscription: NatsSubscription, *, client: NatsClient, active: "set[Subscription]") -> None:
        self.of_nats = subscription
        self._client = client
        self._active = active
        active.add(self)

    async def unsubscribe(self) -> None:
        """No further callbacks: messages received and not yet handled are discarded."""
        self._active.discard(self)
        try:
            await self.of_nats.unsubscribe()
        except (errors.BadSubscriptionError, errors.ConnectionClosedError, errors.ConnectionDrainingError):
            self._client.forget(self.of_nats)

    async def drain(self, *, timeout_s: float = 5.0) -> None:
        """No further messages, and every one already received is handled when this returns.

        Gives up after `timeout_s`, as it does at once when disconnected or cancelled: then it unsubscribes.
        """
        try:
            if self._client.is_connected:
                async with asyncio.timeout(timeout_s):
                    await self.of_nats.drain()
        except (errors.BadSubscriptionError, errors.ConnectionClosedError):
            pass  # ended already
        except (TimeoutError, errors.Error) as error:
            extra = {"subject": self.of_nats.subject, "error": error_site(error)}
            _log.warning("a subscription was not drained in time", extra=extra)
        finally:
            await self.unsubscribe()


class CoreBus:
    """What `Bus` can do without JetStream."""

    def __init__(self, servers: str | Sequence[str], *, name: str, login: Login, options: BusOptions) -> None:
        self._connection = Connection(servers, name=name, login=login, options=options)
        self._client = self._connection.client
        self._options = options
        self._subscriptions: set[Subscription] = set()

    async def open(self) -> None:
        """For `Bus.connect`, which see."""
        await self._connection.open()

    async def close(self) -> None:
        """For `Bus.connect`, which see."""
        try:
            async with asyncio.TaskGroup() as drains:
                for subscription in tuple(self._subscriptions):
                    drains.create_task(subscription.drain(timeout_s=self._options.drain_timeout_s))
        finally:
            await self._connection.close()

    @property
    def connected(self) -> bool:
        return self._connection.connected

    @property
    def servers(self) -> Sequence[str]:
        """The servers it was given, without logins."""
        return tuple(self._connection.servers)

    @property
    def nats_client(self) -> NatsClient:
        """For a library that wants nats-py itself, to share the connection (FastStream's broker); not for our code."""
        return self._client

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back."""
        return self._connection.reconnects

    @property
    def max_payload(self) -> int:
        """Bytes of payload and headers together that the server takes."""
        return self._client.max_payload

    @property
    def dropped_messages(self) -> int:
        """Received messages that were thrown away because a subscription's callback did not keep up."""
        return self._connection.dropped_messages

    @property
    def error_counts(self) -> Mapping[str, int]:
        """How often each kind of connection error was seen, by nats-py's name of it."""
        return self._connection.error_counts

    def on_reconnect(self, callback: ReconnectCallback) -> Callable[[], None]:
        """`callback` runs after every reconnect, beside the others, and is cancelled if the connection is lost again.

        Returns a function that takes it back.
        """
        return self._connection.on_reconnect(callback)

    def answered(self) -> None:
        """A service has answered that needs JetStream to do so: this server is as good as any (`stall.py`)."""
        self._connection.stream_healthy()

    async def unanswered(self) -> None:
        """Such a service was not to be heard; after many of these in a row the connection moves to another server."""
        await self._connection.stream_failed()

    def new_inbox(self) -> str:
        """A subject nobody else knows, for replies."""
        return self._client.new_inbox()

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        reply: str = "",
        linger: bool = False,
    ) -> None:
        """Send and forget. `linger`: it may wait a few milliseconds for another message to travel with.

        Raises `PayloadTooLargeError` before anything is sent, `BusOverflowError` when too much is unsent,
        `BusClosedError`, and `ValueError` for an impossible subject or header name. A cancel means: it was not sent.
        """
        if headers is not None:
            self._check_size(payload, headers)
            headers = dict(headers)
        while self._client.pending_data_size > self._options.high_water_bytes and self._client.is_connected:
            await self._catch_up()
        try:
            send = self._client.publish_lingering if linger else self._client.publish
            await send(subject, payload, reply, headers)
        except errors.Error as error:
            raise self._translated(error, subject=subject, payload=payload) from error

    async def request(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float
    ) -> Message:
        """One answer. Raises `NoRespondersError`, `BusTimeoutError`, and what `publish` raises."""
        if headers is not None:
            self._check_size(payload, headers)
            headers = dict(headers)
        try:
            with cancel_guard():
                answer = await self._client.request(subject, payload, timeout=timeout_s, headers=headers)
        except errors.NoRespondersError as error:
            raise NoRespondersError(subject) from error
        except errors.TimeoutError as error:
            raise BusTimeoutError(f"request to {subject}", timeout_s=timeout_s) from error
        except errors.Error as error:
            raise self._translated(error, subject=subject, payload=payload) from error
        return Message(answer.subject, answer.data, answer.headers or NO_HEADERS, answer.reply)

    async def subscribe(self, subject: str, callback: MessageCallback, *, queue: str = "") -> Subscription:
        """Call `callback` with each message, one after another; with `queue`, share them with others of that name.

        The server knows of it once a `flush` has returned. An exception in `callback` is logged by its place, and the
        next message follows. Raises `BusClosedError`, and `ValueError` for an impossible subject.
        """

        async def deliver(received: Msg) -> None:
            try:
                pending = callback(
                    Message(received.subject, received.data, received.headers or NO_HEADERS, received.reply)
                )
                if pending is not None:
                    await pending
            except Exception as error:  # noqa: BLE001 - the outermost edge of a callback
                _log.error("a message callback failed", extra={"subject": subject, "error": error_site(error)})

        try:
            subscribed = await self._client.subscribe(  # pyright: ignore[reportUnknownMemberType]  a bare Future in it
                subject,
                queue=queue,
                cb=deliver,
                pending_msgs_limit=self._options.pending_messages,
                pending_bytes_limit=self._options.pending_bytes,
            )
        except errors.Error as error:
            raise self._translated(error, subject=subject, payload=b"") from error
        return Subscription(subscribed, client=self._client, active=self._subscriptions)

    async def subscribe_inline(self, subject: str, callback: Callable[[Message], None]) -> Subscription:
        """As `subscribe`, for a callback that is short and never waits: it is called in the task that reads the
        connection, which spares each message a queue and a turn of the event loop.
        """

        def deliver(subject: str, data: bytes, headers: Mapping[str, str], reply: str) -> None:
            try:
                callback(Message(subject, data, headers, reply))
            except Exception as error:  # noqa: BLE001 - the outermost edge of a callback
                _log.error("a message callback failed", extra={"subject": subject, "error": error_site(error)})

        subscription = await self.subscribe(subject, callback)
        self._client.call_inline(subscription.of_nats, deliver)
        return subscription

    async def flush(self, *, timeout_s: float | None = None) -> None:
        """The server has received all that was published before, and knows every subscription. Says nothing of storage.

        Raises `BusTimeoutError` after `timeout_s` (default: `flush_timeout_s`). Safe to cancel.
        """
        limit_s = self._options.flush_timeout_s if timeout_s is None else timeout_s
        try:
            await self._client.flush_within(limit_s)
        except TimeoutError as error:
            raise BusTimeoutError("flush", timeout_s=limit_s) from error

    def _check_size(self, payload: bytes, headers: Mapping[str, str]) -> None:
        """The server counts headers too and cuts the connection over the limit; nats-py counts the payload alone."""
        size = len(payload) + _HEADER_FRAME_BYTES
        for name, value in headers.items():
            size += len(name.encode()) + len(value.encode()) + _HEADER_LINE_BYTES
        if size > self._client.max_payload:
            raise PayloadTooLargeError(size, self._client.max_payload)

    async def _catch_up(self) -> None:
        try:
            await self._client.flush_within(self._options.flush_timeout_s)
        except TimeoutError as error:
            raise BusOverflowError(waiting_bytes=self._client.pending_data_size) from error

    def _translated(self, error: errors.Error, *, subject: str, payload: bytes) -> Exception:
        """nats-py's errors in our words: the one place where they enter."""
        match error:
            case errors.MaxPayloadError():
                return PayloadTooLargeError(len(payload), self._client.max_payload)
            case errors.OutboundBufferLimitError():
                return BusOverflowError(waiting_bytes=self._client.pending_data_size)
            case errors.ConnectionClosedError() | errors.ConnectionDrainingError():
                return BusClosedError()
            case errors.BadSubjectError():
                return ValueError(
                    f"subject {subject!r} is no NATS subject: no spaces, no empty tokens, '>' only at the end"
                )
            case errors.BadHeaderError():
                return ValueError(f"header name {error.key!r} must be visible ASCII without ':' or spaces")
            case _:
                return BusError(f"{subject}: {error}")
