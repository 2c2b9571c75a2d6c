"""Asks NATS now and then whether its JetStream is there, and says when it is gone and when it is back.

A service that waits for work says nothing to the server, so on a node that has lost its cluster, or stands still, it
would wait for good. The failures are counted by the bus, which moves to another server where there is one.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from tokenbus.bus import Bus
from tokenbus.errors import BusError

_log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
IN_DOUBT_S: Final = 1.0
"""The rhythm while it does not answer."""
TIMEOUT_S: Final = 2.0


@asynccontextmanager
async def probing(bus: Bus, *, every_s: float = EVERY_S) -> AsyncGenerator[None]:
    """Probes while inside."""
    async with asyncio.TaskGroup() as tasks:
        probes = tasks.create_task(_probe(bus, every_s=every_s))
        try:
            yield
        finally:
            probes.cancel()


async def _probe(bus: Bus, *, every_s: float) -> NoReturn:
    gone_since: float | None = None
    while True:
        await asyncio.sleep(every_s if gone_since is None else min(every_s, IN_DOUBT_S))
        if not bus.connected:
            continue  # the connection says so itself, and comes back by itself
        try:
            await bus.probe(timeout_s=TIMEOUT_S)
        except BusError as error:
            if gone_since is None:
                gone_since = time.monotonic()
                _log.warning("JetStream does not answer", extra={"problem": str(error)})
        else:
            if gone_since is not None:
                _log.warning("JetStream answers again", extra={"after_s": round(time.monotonic() - gone_since, 1)})
            gone_since = None
