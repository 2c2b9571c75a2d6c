"""The live events of this process's own requests: one wildcard subscription, however many requests run.

The request id is a token of the subject, so sorting messages to their readers parses no payload and no header.
"""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from tokenbus.bus import Bus, Message
from tokenbus.errors import InvalidRequestError
from tokenbus.inbox import Inbox
from tokenbus_schemas import Channel, RequestId, Subjects, Tenant


class LiveEvents:
    """Hands each event message to the inbox of its request. Messages of requests nobody reads any more are dropped."""

    def __init__(self, channel: Channel, *, buffer_bytes: int) -> None:
        self.channel = channel
        self._buffer_bytes = buffer_bytes
        self._inboxes: dict[str, Inbox] = {}

    @contextmanager
    def inbox(self, request_id: RequestId) -> Generator[Inbox]:
        """Raises `InvalidRequestError` if this process already reads a request of that id."""
        if request_id in self._inboxes:
            raise InvalidRequestError(
                f"{request_id} is in use by this client; give each request its own", param="request_id"
            )
        inbox = self._inboxes[request_id] = Inbox(buffer_bytes=self._buffer_bytes)
        try:
            yield inbox
        finally:
            del self._inboxes[request_id]

    def receive(self, message: Message) -> None:
        # `<root>.events.<tenant>.<channel>.<request>.<attempt>`, read from the end: an account may remap the start.
        inbox = self._inboxes.get(message.subject.rsplit(".", 2)[1])
        if inbox is not None:
            inbox.put(message.data)

    async def mark_lost(self) -> None:
        """The bus was away: whatever was published meanwhile is only in replay."""
        for inbox in self._inboxes.values():
            inbox.mark_lost()


@asynccontextmanager
async def live_events(bus: Bus, *, subjects: Subjects, tenant: Tenant, buffer_bytes: int) -> AsyncGenerator[LiveEvents]:
    """Subscribed while inside, on a random channel."""
    live = LiveEvents(Channel(secrets.token_hex(8)), buffer_bytes=buffer_bytes)
    subscription = await bus.subscribe_inline(subjects.channel_events(tenant, live.channel), live.receive)
    forget = bus.on_reconnect(live.mark_lost)
    try:
        yield live
    finally:
        forget()
        await subscription.unsubscribe()
