"""FastStream on the bus's own connection, for request/reply and event subscribers.

FastStream 0.7.8 alone would open a second connection with nats-py's defaults, drop calls that were delivered and not
yet started when it stops, and log the texts of exceptions, which may quote a prompt. Not for work queues (`worker.py`
is), nor for token events (plain `Bus`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from faststream import BaseMiddleware, ContextRepo
from faststream.nats import NatsBroker
from faststream.nats.subscriber.usecases.basic import LogicSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tokenbus.bus import Bus
from tokenbus.error_site import error_site

_log = logging.getLogger(__name__)


class ServiceBroker(NatsBroker):
    """A `NatsBroker` as any other to declare subscribers on; `run` starts, drains and stops it."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus.servers, logger=_Logger(), log_level=logging.DEBUG, middlewares=(self._watched,))
        self._bus = bus
        self._ended: Counter[int] = Counter()
        self._call_ended = asyncio.Event()

    @asynccontextmanager
    async def answering(self) -> AsyncGenerator[None]:
        """Answers calls while inside; the server knows all subscribers from the start. `drain` before leaving, or calls
        in hand are cut off.
        """
        await self.start()
        await self._bus.flush()
        try:
            yield
        finally:
            await self.stop()

    async def drain(self, *, timeout_s: float) -> None:
        """No further calls; those received so far, started or not, are answered. Gives up after `timeout_s`."""
        subscriptions = [taken for subscriber in self.subscribers if (taken := _take_subscription(subscriber))]
        try:
            async with asyncio.timeout(timeout_s):
                async with asyncio.TaskGroup() as drains:
                    for subscription in subscriptions:
                        drains.create_task(subscription.drain())
                while any(self._ended[_number(each)] < each.delivered for each in subscriptions):
                    self._call_ended.clear()
                    await self._call_ended.wait()
        except TimeoutError:
            _log.warning("calls were cut short")

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Ends the subscribers; the connection stays the bus's."""
        await super(NatsBroker, self).stop(exc_type, exc_val, exc_tb)
        self._connection = None
        self.config.disconnect()

    async def _connect(self) -> Client:
        connection = self._bus.nats_client
        self.config.connect(connection)
        return connection

    def _watched(self, msg: Msg | None, /, *, context: ContextRepo) -> "_Watched":
        return _Watched(msg, context=context, broker=self)

    def call_ended(self, number: int) -> None:
        """A call that arrived on subscription `number` has been answered, or has failed."""
        self._ended[number] += 1
        self._call_ended.set()


class _Watched(BaseMiddleware[Any, Msg | None]):
    """Tells the broker when the handling of a received message ends."""

    __slots__ = ("_broker",)

    def __init__(self, msg: Msg | None, /, *, context: ContextRepo, broker: ServiceBroker) -> None:
        super().__init__(msg, context=context)
        self._broker = broker

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if self.msg is not None:
            self._broker.call_ended(self.msg.sid)
        return await super().after_processed(exc_type, exc_val, exc_tb)


class _Logger:
    """FastStream's log lines, with the place of an exception instead of its text."""

    def log(
        self,
        level: int,
        msg: object,
        /,
        *,
        exc_info: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        fields = {name: value for name, value in (extra or {}).items() if name in ("subject", "queue")}
        if exc_info is not None:
            _log.log(level, "a call failed", extra={**fields, "error": error_site(exc_info)})
        elif level < logging.WARNING:
            _log.log(level, "faststream", extra={**fields, "event": str(msg)})
        else:
            _log.log(level, "faststream has a problem", extra=fields)


def _take_subscription(subscriber: object) -> Subscription | None:
    """The subscriber's subscription, which it will then not end a second time."""
    if not isinstance(subscriber, LogicSubscriber) or not isinstance(subscriber.subscription, Subscription):
        return None
    taken, subscriber.subscription = subscriber.subscription, None
    return taken


def _number(subscription: Subscription) -> int:
    return subscription._id  # pyright: ignore[reportPrivateUsage]  no public name; messages show it as `sid`
