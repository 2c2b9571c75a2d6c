"""A service for tests of `run`, started as a process of its own.

For each message of REQUESTS it asks on `<root>.ask`, with the payload, and acknowledges once it has an answer.
A message on `<root>.die` kills a task of its own, with the payload as the exception's text.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tokenbus.bus import Bus
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.run import Parts, run
from tokenbus_chassis.settings import ServiceSettings
from tokenbus_chassis.topology import ensure_topology
from tokenbus_chassis.worker import Worker

settings = ServiceSettings()


@asynccontextmanager
async def asking(bus: Bus) -> AsyncGenerator[Parts]:
    topology = settings.topology()
    await ensure_topology(bus, topology)
    last_words: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ask(delivery: Delivery) -> None:
        headers = {"Attempt": str(delivery.attempt), "Process": str(os.getpid())}
        await bus.request(f"{settings.root}.ask", delivery.data, headers=headers, timeout_s=60.0)
        await delivery.ack()

    async def die() -> None:
        raise RuntimeError(await last_words)

    await bus.subscribe(f"{settings.root}.die", lambda message: last_words.set_result(message.data))
    worker = Worker(
        bus,
        stream=topology.requests.name,
        consumers=[topology.request_consumer("standard").name],
        slots=4,
        handler=ask,
        ack_wait_s=settings.ack_wait_s,
    )
    async with asyncio.TaskGroup() as tasks:
        dying = tasks.create_task(die())
        yield Parts(workers=[worker])
        dying.cancel()


if __name__ == "__main__":
    sys.exit(run("asking", asking, settings=settings))
