"""uvicorn, set up for streams and run inside a service that owns its signals."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tokenbus_gateway.edge import EdgeLimits, EdgeWebSocketProtocol, edge_protocol

_log = logging.getLogger(__name__)

_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How uvicorn behaves."""

    max_message_bytes: int
    """Of one WebSocket message."""
    keep_alive_s: float = 130.0
    drain_s: float = 20.0
    """How long running requests may go on once the server is told to stop; then they are cut."""
    edge: EdgeLimits = field(default_factory=EdgeLimits)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the service's business (`tokenbus_chassis.run`)."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Accepted connections inherit it. asyncio would set it on sockets that it made itself only.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, *, options: ServerOptions) -> AsyncGenerator[None]:
    """Requests are served while inside. Leaving stops accepting, lets requests end for `drain_s` and cuts the others.

    What is cut goes on running on the bus: a client reconnects, here or elsewhere, and continues from its cursor.
    """
    config = uvicorn.Config(
        app,
        http=edge_protocol(options.edge),
        ws=EdgeWebSocketProtocol,
        ws_max_size=options.max_message_bytes,
        ws_per_message_deflate=False,  # tokens are small: it costs more CPU than it saves bytes
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=round(options.keep_alive_s),
        timeout_graceful_shutdown=round(options.drain_s),
        backlog=_BACKLOG,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
