"""Tool calls through FastStream: a subscriber per tool, made and ended while the broker runs.

A subscriber hands each message over at once and never answers it: results come when they come, and not in one reply.
"""

from typing import Final

from faststream.nats import NatsMessage
from faststream.nats.subscriber.usecases import CoreSubscriber
from nats.aio.subscription import Subscription

from tokenbus.bus import BusOptions, Message, MessageCallback
from tokenbus_chassis.broker import ServiceBroker

_OPTIONS: Final = BusOptions()


class BrokerListening:
    """`subscribe` for `tool_host`. The broker must be answering."""

    def __init__(self, broker: ServiceBroker) -> None:
        self._broker = broker

    async def __call__(self, subject: str, callback: MessageCallback, /, *, queue: str) -> "Listening":
        subscriber = self._broker.subscriber(
            subject,
            queue=queue,
            pending_msgs_limit=_OPTIONS.pending_messages,
            pending_bytes_limit=_OPTIONS.pending_bytes,
            decoder=_raw,
            no_reply=True,
            persistent=False,
            title=subject,
        )

        async def hand_over(message: NatsMessage) -> None:
            raw = message.raw_message
            pending = callback(Message(raw.subject, raw.data, raw.headers or {}, raw.reply))
            if pending is not None:
                await pending

        subscriber(hand_over)
        await subscriber.start()
        return Listening(subscriber)


class Listening:
    """One tool's subscriber."""

    def __init__(self, subscriber: CoreSubscriber) -> None:
        self._subscriber = subscriber

    async def drain(self) -> None:
        """No further calls; those received are handed over. FastStream's own stop would drop them."""
        subscription = self._subscriber.subscription
        if isinstance(subscription, Subscription):
            self._subscriber.subscription = None
            await subscription.drain()
        await self._subscriber.stop()


async def _raw(message: NatsMessage) -> bytes:
    """FastStream would decode by the sender's `content-type`."""
    return message.body if isinstance(message.body, bytes) else b""
