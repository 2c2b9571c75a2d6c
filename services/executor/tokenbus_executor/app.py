"""The executor put together: what its answers share, and the worker that feeds it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tokenbus.bus import Bus
from tokenbus_chassis.delivery_limit import DeliveryLimit
from tokenbus_chassis.run import Parts
from tokenbus_chassis.topology import class_rank, ensure_topology, pool_of
from tokenbus_chassis.worker import Worker
from tokenbus_executor.burial import Burial
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_executor.surroundings import open_surroundings
from tokenbus_executor.work import WorkHandler


@asynccontextmanager
async def executing(bus: Bus, *, settings: ExecutorSettings, keyring: Keyring) -> AsyncGenerator[Parts]:
    """An executor's parts. Waits until a router has published the providers. Raises `BusError`."""
    topology = settings.topology()
    await ensure_topology(bus, topology)
    async with open_surroundings(bus, settings=settings, keyring=keyring, topology=topology) as around:
        pools = around.pools
        worker = Worker(
            bus,
            stream=topology.work.name,
            consumers=pools.consumers,
            slots=settings.slots,
            handler=DeliveryLimit(
                bus,
                topology=topology,
                stream=topology.work.name,
                handler=WorkHandler(around),
                give_up=Burial(around).worn_out,
                most=settings.max_deliveries,
            ),
            rank=class_rank,
            group=pool_of,
            rooms=around.permits.rooms,
            reserve=settings.class_reserve(),
            ack_wait_s=settings.ack_wait_s,
            repair=pools.ensure,
        )
        around.permits.tell_room(worker.look_again)
        async with asyncio.TaskGroup() as tasks:
            sides = pools.follow(worker), around.cooldowns.keep_claims(), around.permits.keep()
            running = [tasks.create_task(side) for side in sides]
            yield Parts(workers=[worker])
            for task in running:
                task.cancel()
