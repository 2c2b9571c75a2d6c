"""HTTP/1.1 by hand, for tests that care about single bytes: what is written together, and how a connection ends."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

Json = dict[str, Any]


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def post(self, path: str, body: object, *, headers: dict[str, str] | None = None) -> Self:
        """Send a request; its response is read by the other methods."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Host": "test", "Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        return await self.send("POST", path, headers=sent, body=data)

    async def get(self, path: str, *, headers: dict[str, str] | None = None) -> Self:
        return await self.send("GET", path, headers={"Host": "test", **(headers or {})})

    async def send(self, method: str, path: str, *, headers: dict[str, str], body: bytes = b"") -> Self:
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self.writer.drain()
        return self

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = text.rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), headers

    async def chunk(self) -> bytes:
        """One chunk of the body; b"" at its proper end. Raises `IncompleteReadError` where the connection was cut."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def chunks(self) -> list[bytes]:
        """All further ones, to the proper end."""
        found: list[bytes] = []
        while chunk := await self.chunk():
            found.append(chunk)
        return found

    async def reply(self) -> tuple[int, dict[str, str], Json]:
        """A whole response that is not streamed."""
        status, headers = await self.head()
        body = await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, json.loads(body) if body else {}

    async def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[Wire]:
    """A connection to this machine."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield wire
    finally:
        wire.writer.close()


def events_in(body: bytes) -> list[Json]:
    """The events of an SSE body, parsed; `[DONE]` is left out."""
    data = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(text) for text in data if text != b"[DONE]"]
