"""Playback: carries out a plan on one HTTP connection and notes how it went."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import NoReturn

from aiohttp import web

from tokenbus_simulator.faults import Ending
from tokenbus_simulator.ids import STEM, Ids
from tokenbus_simulator.plan import Plan
from tokenbus_simulator.record import Exchange, Record
from tokenbus_simulator.stamps import Stamper


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What one playing of a plan has of its own."""

    started: float
    """What the plan's times count from, by `time.monotonic()`."""
    stem: str
    """Of the ids it shows."""
    stamper: Stamper | None = None
    stopped: asyncio.Event | None = None
    """Once this is set, nothing more is written and the body ends."""
    before_end: Callable[[], None] | None = None
    """Called before the last write of an answer that gets to its end."""

    def filled(self, data: bytes) -> bytes:
        """The data with this occasion's ids and stamps."""
        data = data.replace(STEM.encode(), self.stem.encode())
        return self.stamper(data, now_ns=time.monotonic_ns()) if self.stamper else data


async def play(
    plan: Plan, *, request: web.Request, occasion: Occasion, exchange: Exchange, record: Record
) -> web.StreamResponse:
    """Answers `request` as planned.

    The server cancels this task as soon as the client is gone, in whatever phase; the exchange notes when that was.
    """
    async with _noting_the_end(exchange, record):
        if plan.status is None:
            await _until_client_leaves()
        headers = {**plan.headers, "x-request-id": Ids(occasion.stem).mint("req_")}
        response = web.StreamResponse(status=plan.status, headers=headers)
        await response.prepare(request)
        exchange.status = plan.status
        last = plan.writes[-1] if plan.writes and plan.ending is Ending.FINISH else None
        for write in plan.due():
            if (wait_s := occasion.started + write.at_s - time.monotonic()) > 0:
                await _wait(wait_s, occasion.stopped)
            if occasion.stopped and occasion.stopped.is_set():
                break
            if write is last and occasion.before_end:
                occasion.before_end()
            for piece in plan.cut(occasion.filled(write.data)):
                await response.write(piece)
                exchange.sent(len(piece))
            exchange.tokens_sent += write.tokens
            record.touch()
        stopped = occasion.stopped is not None and occasion.stopped.is_set()
        if plan.ending in (Ending.CUT, Ending.RESET) and not stopped:
            exchange.finished_at = time.time()
            record.touch()
            _break_off(request, reset=plan.ending is Ending.RESET)
        if plan.ending is not Ending.FINISH and not stopped:
            await _until_client_leaves()
        await response.write_eof()
        return response


@contextlib.asynccontextmanager
async def _noting_the_end(exchange: Exchange, record: Record) -> AsyncGenerator[None]:
    try:
        yield
        exchange.finished_at = time.time()
    except ConnectionError:
        # A write failed before the server noticed the same. aiohttp would log this error as a fault of ours.
        exchange.closed_at = time.time()
        record.touch()
        await _until_client_leaves()
    except asyncio.CancelledError:
        if exchange.finished_at is None:
            exchange.closed_at = time.time()
        raise
    finally:
        record.touch()


async def _wait(seconds: float, stopped: asyncio.Event | None) -> None:
    if stopped is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()


async def _until_client_leaves() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody ends this wait but cancellation")


def _break_off(request: web.Request, *, reset: bool) -> None:
    """Closes the connection inside the body: after sending what is buffered, or with a TCP reset at once."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = transport.get_extra_info("socket")
        # Linger on, zero seconds: the kernel drops what is unsent and answers with RST (socket(7), SO_LINGER).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
