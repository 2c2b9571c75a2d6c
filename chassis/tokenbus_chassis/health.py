"""`GET /healthz` (the event loop turns) and `GET /readyz` (work is taken), for probes. One answer per connection.

A liveness probe should ask /healthz only: a lost NATS is no reason for a restart, since we reconnect by ourselves.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

_TIMEOUT_S: Final = 5.0
_MAX_LINE_BYTES: Final = 4096
_PHRASES: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

NotReady = Callable[[], str | None]
"""Why no work is taken just now; None when it is."""
Troubles = Callable[[], Sequence[str]]
"""What is wrong although work is taken, for a human to mend."""


@asynccontextmanager
async def serving_health(
    *, host: str, port: int, not_ready: NotReady, troubles: Troubles = tuple
) -> AsyncGenerator[int]:
    """Serves while inside; yields the port, which port 0 lets the system choose. Raises `OSError` for a taken port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A probe that hangs up, stalls or sends rubbish is not our trouble.
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_TIMEOUT_S):
                request_line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                status, body = _respond(request_line, not_ready, troubles)
                writer.write(_encode(status, body))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, port, limit=_MAX_LINE_BYTES)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def _respond(request_line: bytes, not_ready: NotReady, troubles: Troubles) -> tuple[int, Mapping[str, object]]:
    method, _, rest = request_line.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return 405, {"error": "only GET and HEAD are served here"}
    match path:
        case "/healthz":
            return 200, {"alive": True}
        case "/readyz":
            reason, wrong = not_ready(), troubles()
            detail = {"troubles": list(wrong)} if wrong else {}
            if reason is None:
                return 200, {"ready": True, **detail}
            return 503, {"ready": False, "reason": reason, **detail}
        case _:
            return 404, {"error": "only /healthz and /readyz are served here"}


def _encode(status: int, body: Mapping[str, object]) -> bytes:
    content = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + content
