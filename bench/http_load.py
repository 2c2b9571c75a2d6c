"""A load client in a process of its own: `python -m bench.http_load <JSON>` asks an HTTP server and prints what it saw.

It does as little as it can for each token: HTTP/1.1 over a bare transport, one connection for each stream, no JSON.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Final, cast

import uvloop

DELTA: Final = b"event: response.output_text.delta\n"
STAMP: Final = re.compile(rb'"delta":"(\d+)')
LAST_CHUNK: Final = b"0\r\n\r\n"
OK: Final = b"HTTP/1.1 200"
LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ON_TIME_NS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """`streams` clients at once, each asking `rounds` times, one after the other."""

    host: str
    port: int
    model: str
    streams: int = 1
    rounds: int = 1
    stream: bool = True

    def request(self) -> bytes:
        body = json.dumps({"model": self.model, "input": "x", "stream": self.stream}).encode()
        head = f"POST /v1/responses HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer bench\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@dataclass(slots=True)
class Seen:
    """What the clients saw, together."""

    first_s: list[float] = field(default_factory=list[float])
    """Of each request: seconds to the first token, or to the whole answer where it is not streamed."""
    tokens: int = 0
    stamped: int = 0
    on_time: int = 0
    """Tokens read at most 50 ms after the upstream sent them; it writes the time into each (`sim@stamp`)."""
    elapsed_s: float = 0.0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, seen: Seen) -> None:
        self._load = load
        self._request = load.request()
        self._seen = seen
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._asked_at = 0.0
        self._begun = self._first = False
        self._ended: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    async def ask(self) -> None:
        """One request, to its end."""
        assert self._transport is not None
        self._ended = asyncio.get_running_loop().create_future()
        self._buffer, self._begun, self._first, self._asked_at = b"", False, False, time.perf_counter()
        self._transport.write(self._request)
        await self._ended

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            if not data.startswith(OK):
                self._fail(RuntimeError(f"answered with {data[:500]!r}"))
                return
        self._buffer += data
        if not self._load.stream:
            self._whole()
            return
        cut = self._buffer.rfind(b"\n\n") + 2
        if cut > 1:
            events, self._buffer = self._buffer[:cut], self._buffer[cut:]
            self._events(events)
        if self._buffer.endswith(LAST_CHUNK):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("the connection was closed"))

    def _events(self, events: bytes) -> None:
        seen, count = self._seen, events.count(DELTA)
        if count:
            if not self._first:
                self._first = True
                seen.first_s.append(time.perf_counter() - self._asked_at)
            seen.tokens += count
            now = time.monotonic_ns()
            for stamp in STAMP.findall(events):
                seen.stamped += 1
                seen.on_time += now - int(stamp) <= ON_TIME_NS

    def _whole(self) -> None:
        head, split, body = self._buffer.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        whole = len(body) >= int(found[1]) if found is not None else body.endswith(LAST_CHUNK)
        if split and whole:
            self._seen.first_s.append(time.perf_counter() - self._asked_at)
            self._end()

    def _fail(self, error: Exception) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


async def run(load: Load) -> Seen:
    """The whole load."""
    seen = Seen()

    async def client() -> None:
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Client(load, seen), load.host, load.port
        )
        for _ in range(load.rounds):
            await protocol.ask()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.streams):
            group.create_task(client())
    seen.elapsed_s = time.perf_counter() - started
    return seen


@asynccontextmanager
async def loading(load: Load, *, cores: set[int]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """The load in a process of its own, on these cores; `result_of` reads what it saw."""
    command = (sys.executable, "-m", "bench.http_load", json.dumps(asdict(load)), json.dumps(sorted(cores)))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def result_of(process: asyncio.subprocess.Process) -> Seen:
    """Waits for the end. Raises `RuntimeError` where the load failed."""
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load client ended with {process.returncode}")
    return Seen(**json.loads(said))


def main() -> None:
    os.sched_setaffinity(0, json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(asdict(uvloop.run(run(Load(**json.loads(sys.argv[1])))))))


if __name__ == "__main__":
    main()
