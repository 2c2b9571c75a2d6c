"""uvicorn's HTTP/1.1 protocol with what it lacks: limits for slow and fat senders, and a short way to the socket.

The short way (`Wire`): a token goes from the bus callback to the transport in one call. Through a task per stream and
ASGI's `send` it costs 6 µs of CPU more (docs/adr/0004): at 1,000 streams of 20 tokens/s an eighth of a core. Heads,
errors and ends of responses go through ASGI.

What this relies on in uvicorn 0.54, `protocols/http/httptools_impl.py`: the attributes `transport`, `flow` and `loop`
of the protocol, `disconnected`, `response_complete` and `message_event` of a cycle, that `_start_asgi_task` begins one,
and that a response without content-length is chunked. tests/gateway/test_gateway_edge.py fails when one of them goes.
"""

import asyncio
import logging
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_log = logging.getLogger(__name__)

DRAIN: Final = "tokenbus.drain"
"""Type of the ASGI message that tells a WebSocket's application: end after this turn."""
WIRE: Final = "tokenbus.wire"
"""Name of our ASGI extension; under the same name it holds the connection's `Wire`."""

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """For every connection."""

    head_timeout_s: float = 10.0
    """From the connection, or the first byte of a further request, to the end of its headers."""
    head_bytes: int = 64 * 1024
    """Request line and headers that may wait for their end; one read more may come on top."""
    linger_s: float = 5.0
    """How long a body may still come in after its request was answered."""


class Wire:
    """The response side of one connection, while a chunked response is being sent on it."""

    __slots__ = ("protocol",)

    def __init__(self, protocol: "EdgeProtocol") -> None:
        self.protocol = protocol

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Call this once the client of the response at hand is gone; at once if it is."""
        protocol = self.protocol
        if protocol.active is None or protocol.active.disconnected:
            on_disconnect()
        else:
            protocol.on_disconnect = on_disconnect

    def write(self, body: bytes) -> bool:
        """Hand one chunk to the socket, without waiting. False: the client does not keep up, wait for `drained`.

        After a disconnect it does nothing.
        """
        protocol = self.protocol
        cycle = protocol.active
        if cycle is None or cycle.disconnected:
            return True
        protocol.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return not protocol.flow.write_paused

    async def drained(self, *, timeout_s: float) -> None:
        """Returns when the client has read enough, or is gone. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            await self.protocol.flow.drain()

    def cut(self) -> None:
        """End the connection behind what was written, but not the body: nothing may take it for a whole answer."""
        self._forget()
        self.protocol.transport.close()

    def abort(self) -> None:
        """The same, and what the client has not read is dropped."""
        self._forget()
        self.protocol.transport.abort()

    def _forget(self) -> None:
        if self.protocol.active is not None:
            self.protocol.active.disconnected = True  # else uvicorn reports a response without an end


class EdgeProtocol(HttpToolsProtocol):
    """One connection. uvicorn makes it; `edge_protocol` gives it its limits."""

    limits = EdgeLimits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # uvicorn's own business, passed through
        self.active: RequestResponseCycle | None = None
        """The request that is being answered. uvicorn's `cycle` is the newest, which may be waiting behind it."""
        self.on_disconnect: Callable[[], None] | None = None
        """Set by whoever answers the active request."""
        self._timer: TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._in_body = False
        self._wire = Wire(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._arm(self.limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self.active is not None and not self.active.response_complete:
            self.active.disconnected = True
            self.active.message_event.set()
            if self.on_disconnect is not None:
                self.on_disconnect()
        self.active = self.on_disconnect = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {WIRE: {WIRE: self._wire}}
        self._in_head, self._head_bytes = True, 0
        if self._timer is None:
            self._arm(self.limits.head_timeout_s)

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body:
            self._arm(self.limits.linger_s)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.active, self.on_disconnect = cycle, None
        super()._start_asgi_task(cycle, self._until_shutdown(app))

    def _until_shutdown(self, app: ASGI3Application) -> ASGI3Application:
        async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                # The server's own doing, at the end of its grace; uvicorn would report each stream as a crash. This is
                # the last frame of the task.
                self._wire.cut()

        return answer

    def _arm(self, timeout_s: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        _log.info("closed a connection whose request does not come in")
        self.transport.abort()


class EdgeWebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket, which may end its turn when the server stops; uvicorn would cut it."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn 0.54 forgets it, and reports each refused client as an error

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            drain: Any = {"type": DRAIN}
            self.queue.put_nowait(drain)
        else:
            super().shutdown()


def edge_protocol(limits: EdgeLimits) -> type[EdgeProtocol]:
    """The protocol class with these limits; uvicorn takes a class and makes the instances."""
    return type("LimitedEdgeProtocol", (EdgeProtocol,), {"limits": limits})
