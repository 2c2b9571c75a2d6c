"""The gateway's side of the bus: requests go out, answers come in, for all tenants over one subscription."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tokenbus.bus import Bus, Message, Subscription
from tokenbus.calls import call, cancel, stored_response
from tokenbus.errors import TokenbusError
from tokenbus.reader import Reader, ReadingTimes
from tokenbus.replay import AT_ONCE, Replay
from tokenbus.submission import PreparedRequest, submit
from tokenbus_gateway.feed import Feed
from tokenbus_gateway.grace import Graces
from tokenbus_gateway.tracing import TraceContext
from tokenbus_gateway.wishes import OnDisconnect
from tokenbus_schemas import (
    MAX_REQUEST_BYTES,
    Channel,
    ModelList,
    PriorityClass,
    RequestId,
    ResponseCall,
    ResponseReply,
    Subjects,
    Tenant,
)
from tokenbus_schemas.control import CancelStatus
from tokenbus_schemas.headers import MAX_TIMEOUT_S, RequestHeaders

_log = logging.getLogger(__name__)

_EVERY_TENANT: Final = Tenant("*")
CALL_TIMEOUT_S: Final = 5.0
CANCEL_TIMEOUT_S: Final = 2.0
"""A client is gone: nobody waits for this but us."""


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Limits and times of every answer."""

    max_request_bytes: int = MAX_REQUEST_BYTES
    """The largest request as it is on the bus; above the bus's max_payload it goes in pieces."""
    buffer_bytes: int = 128 * 1024
    """What one answer may hold unread while its client does not keep up; the rest is replayed later."""
    times: ReadingTimes = field(default_factory=ReadingTimes)


@dataclass(slots=True)
class Question:
    """A checked request, ready for the bus. Its payload is given away when it is sent: an answer may take long."""

    tenant: Tenant
    request_id: RequestId
    payload: bytes
    priority_class: PriorityClass
    timeout_s: float
    trace: TraceContext


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer while it comes in. `reader.batch()` gives its events; `feed.open` the short way for them."""

    request_id: RequestId
    reader: Reader
    feed: Feed


class Bridge:
    """Enter it once; it is subscribed while inside."""

    def __init__(self, bus: Bus, *, subjects: Subjects, options: BridgeOptions | None = None) -> None:
        self._bus = bus
        self._subjects = subjects
        self._options = options or BridgeOptions()
        self._channel = Channel(secrets.token_urlsafe(12))
        self._feeds: dict[str, Feed] = {}
        self._replay_turns = asyncio.Semaphore(AT_ONCE)
        self._subscription: Subscription | None = None
        self._graces = Graces(bus)

    async def __aenter__(self) -> Self:
        subject = self._subjects.channel_events(_EVERY_TENANT, self._channel)
        self._subscription = await self._bus.subscribe(subject, self._receive)
        self._forget = self._bus.on_reconnect(self._mark_all_lost)
        await self._graces.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._graces.__aexit__(None, None, None)
        self._forget()
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    @property
    def connected(self) -> bool:
        return self._bus.connected

    @asynccontextmanager
    async def ask(self, question: Question) -> AsyncGenerator[Answer]:
        """Send a request; inside, read its answer. Leaving early stops nothing: that is `cancel`.

        Raises `RequestRefusedError`, or `BusError` where it is not known whether it was accepted.
        """
        request_id = question.request_id
        feed = self._feeds[request_id] = self._new_feed()
        try:
            deadline = asyncio.get_running_loop().time() + question.timeout_s
            reader = Reader(
                feed,
                replay=self._replay(question.tenant, request_id),
                request_id=request_id,
                attached=False,
                deadline=deadline,
                times=self._options.times,
            )
            await submit(self._bus, self._prepared(question), max_bytes=self._options.max_request_bytes)
            yield Answer(request_id, reader, feed)
        finally:
            del self._feeds[request_id]

    @asynccontextmanager
    async def attach(self, tenant: Tenant, request_id: RequestId, *, after: int) -> AsyncGenerator[Answer]:
        """Watch an answer that was asked for anywhere. Reading raises `UnknownRequestError` where there is none."""
        feed = self._new_feed()

        async def mark_lost() -> None:
            feed.mark_lost()

        # The subscription is at the server before the first replay is asked for, so nothing falls between the two.
        subject = self._subjects.request_events(tenant, request_id)
        subscription = await self._bus.subscribe(subject, lambda message: feed.put(message.data))
        watching = await self._bus.subscribe(self._subjects.watching(tenant, request_id), self._say_watching)
        forget = self._bus.on_reconnect(mark_lost)
        try:
            reader = Reader(
                feed,
                replay=self._replay(tenant, request_id),
                request_id=request_id,
                after=after,
                attached=True,
                deadline=asyncio.get_running_loop().time() + MAX_TIMEOUT_S,
                times=self._options.times,
            )
            yield Answer(request_id, reader, feed)
        finally:
            forget()
            await watching.unsubscribe()
            await subscription.unsubscribe()

    async def cancel(self, tenant: Tenant, request_id: RequestId) -> CancelStatus:
        """Raises `BusError`; to ask again is safe."""
        return await cancel(self._bus, self._subjects.control(tenant, request_id), timeout_s=CALL_TIMEOUT_S)

    async def stored(self, tenant: Tenant, request_id: RequestId, question: ResponseCall) -> ResponseReply:
        """Ask about a stored response. Raises `UnknownRequestError`, `CallRefusedError` and `BusError`."""
        subject = self._subjects.response(tenant, request_id)
        return await stored_response(self._bus, subject, question, request_id=request_id, timeout_s=CALL_TIMEOUT_S)

    async def leave(self, question: Question, policy: OnDisconnect) -> None:
        """What `policy` says of a request whose client is gone; a grace is waited for elsewhere."""
        tenant, request_id = question.tenant, question.request_id

        async def abandon() -> None:
            await self.abandon(tenant, request_id)

        if policy == "cancel":
            await abandon()
        elif policy != "continue":
            subject = self._subjects.watching(tenant, request_id)
            self._graces.begin(subject, grace_s=policy, at_most_s=question.timeout_s, expired=abandon)

    async def abandon(self, tenant: Tenant, request_id: RequestId) -> None:
        """Cancel for a client that is gone; what goes wrong is logged."""
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                await self.cancel(tenant, request_id)
        except (TokenbusError, TimeoutError) as error:
            extra = {"request_id": request_id, "problem": type(error).__name__}
            _log.warning("could not cancel the request of a client that is gone", extra=extra)

    async def models(self, tenant: Tenant) -> list[ModelList.Model]:
        """Every model of the catalog. Raises `BusError`."""
        subject = self._subjects.models(tenant)
        return (await call(self._bus, subject, payload=b"", reply=ModelList, timeout_s=CALL_TIMEOUT_S)).models

    def replay(self, tenant: Tenant, request_id: RequestId) -> Replay:
        """Stored events of one answer."""
        return self._replay(tenant, request_id)

    def _prepared(self, question: Question) -> PreparedRequest:
        headers = RequestHeaders(
            request_id=question.request_id,
            channel=self._channel,
            timeout_s=question.timeout_s,
            traceparent=question.trace.traceparent,
            tracestate=question.trace.tracestate,
        )
        subject = self._subjects.request(question.tenant, question.priority_class)
        payload, question.payload = question.payload, b""
        upload = self._subjects.payloads(question.tenant, question.request_id)
        return PreparedRequest(question.request_id, subject, payload, headers.to_wire(), question.timeout_s, upload)

    def _replay(self, tenant: Tenant, request_id: RequestId) -> Replay:
        return Replay(self._bus, subject=self._subjects.replay(tenant, request_id), turns=self._replay_turns)

    def _new_feed(self) -> Feed:
        options = self._options
        return Feed(buffer_bytes=options.buffer_bytes, silence_s=options.times.silence_s)

    async def _say_watching(self, message: Message) -> None:
        await self._bus.publish(message.reply, b"")

    def _receive(self, message: Message) -> None:
        # `<root>.events.<tenant>.<channel>.<request>.<attempt>`. Request ids of ours are random: one finds one answer.
        feed = self._feeds.get(message.subject.rsplit(".", 2)[1])
        if feed is not None:
            feed.put(message.data)

    async def _mark_all_lost(self) -> None:
        for feed in self._feeds.values():
            feed.mark_lost()
