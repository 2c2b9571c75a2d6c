"""The executor put together: what it listens to, and the worker that feeds it."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from tokenbus.bus import Bus, KvChange
from tokenbus_chassis.run import Parts
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import class_rank, ensure_topology
from tokenbus_chassis.worker import Worker
from tokenbus_executor.cooldowns import CoolDowns
from tokenbus_executor.directory import ProviderDirectory
from tokenbus_executor.failover import Latencies
from tokenbus_executor.keys import Keyring
from tokenbus_executor.pools import ServedPools
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_executor.stops import Stops
from tokenbus_executor.surroundings import Surroundings
from tokenbus_executor.tool_surroundings import open_tools
from tokenbus_executor.upstreams import Upstreams
from tokenbus_executor.work import WorkHandler
from tokenbus_schemas.work import PROVIDERS_KEY


@asynccontextmanager
async def executing(bus: Bus, *, settings: ExecutorSettings, keyring: Keyring) -> AsyncGenerator[Parts]:
    """An executor's parts. Waits until a router has published the providers. Raises `BusError`."""
    topology = settings.topology()
    await ensure_topology(bus, topology)
    async with AsyncExitStack() as exits:
        providers = ProviderDirectory()

        def on_change(change: KvChange) -> None:
            if change.key == PROVIDERS_KEY and change.value is not None:
                providers.replace(change.value)

        watch = await bus.kv_watch(topology.catalog.name, on_change)
        exits.push_async_callback(watch.stop)
        upstreams = await exits.enter_async_context(Upstreams.open(keyring, budgets=settings.budgets()))
        pools = ServedPools(bus, settings=settings, providers=providers, upstreams=upstreams)
        await pools.start()
        stops = Stops(bus, subjects=topology.subjects, marks=topology.cancelled.name, clock=time.time)
        await stops.listen()
        cooldowns = CoolDowns(bus, bucket=topology.cooldown.name, policy=settings.cooling(), clock=time.time)
        exits.push_async_callback((await bus.kv_watch(topology.cooldown.name, cooldowns.on_change)).stop)
        tools = await exits.enter_async_context(open_tools(bus, topology=topology, limits=settings.tool_limits()))
        around = Surroundings(
            bus=bus,
            topology=topology,
            pools=pools,
            terminal=TerminalWriter(bus, subjects=topology.subjects, stream=topology.results.name),
            stops=stops,
            providers=providers,
            upstreams=upstreams,
            cooldowns=cooldowns,
            latencies=Latencies(),
            failover=settings.failover(),
            chance=random.SystemRandom(),
            tools=tools,
        )
        worker = Worker(
            bus,
            stream=topology.work.name,
            consumers=pools.consumers,
            slots=settings.slots,
            handler=WorkHandler(around),
            rank=class_rank,
            reserve=settings.class_reserve(),
            ack_wait_s=settings.ack_wait_s,
            repair=pools.ensure,
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(pools.follow(worker))
            yield Parts(workers=[worker])
            following.cancel()
