"""Playback: carries out a plan on one HTTP connection and notes how it went."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncGenerator
from typing import NoReturn

from aiohttp import web

from tokenbus_simulator.faults import Ending
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.plan import Plan
from tokenbus_simulator.record import Exchange, Record


async def play(
    plan: Plan, *, request: web.Request, arrived: float, exchange: Exchange, record: Record, stem: str
) -> web.StreamResponse:
    """Answers `request` as planned; plan times count from `arrived`, a `time.monotonic()`.

    The server cancels this task as soon as the client is gone, in whatever phase; the exchange notes when that was.
    """
    async with _noting_the_end(exchange, record):
        if plan.status is None:
            await _until_client_leaves()
        headers = {**plan.headers, "x-request-id": Ids(stem).mint("req_")}
        response = web.StreamResponse(status=plan.status, headers=headers)
        await response.prepare(request)
        exchange.status = plan.status
        for write in plan.pieces(stem):
            if (wait_s := arrived + write.at_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            await response.write(write.data)
            exchange.sent(len(write.data), tokens=write.tokens)
            record.touch()
        if plan.ending in (Ending.CUT, Ending.RESET):
            exchange.finished_at = time.time()
            record.touch()
            _break_off(request, reset=plan.ending is Ending.RESET)
        if plan.ending is not Ending.FINISH:
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
