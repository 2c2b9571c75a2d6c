"""What every answer of a process shares."""

import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tokenbus.bus import Bus, KvChange
from tokenbus_chassis.payloads import Payloads
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_executor.cooldowns import CoolDowns
from tokenbus_executor.directory import ProviderDirectory
from tokenbus_executor.failover import FailoverPolicy, Latencies
from tokenbus_executor.keys import Keyring
from tokenbus_executor.permits import Permits
from tokenbus_executor.pools import ServedPools
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_executor.stops import Stops
from tokenbus_executor.tool_surroundings import ToolSurroundings, open_tools
from tokenbus_executor.upstreams import Upstreams
from tokenbus_schemas.work import PROVIDERS_KEY


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Made once by `open_surroundings`."""

    bus: Bus
    topology: Topology
    pools: ServedPools
    terminal: TerminalWriter
    payloads: Payloads
    stops: Stops
    providers: ProviderDirectory
    upstreams: Upstreams
    cooldowns: CoolDowns
    permits: Permits
    latencies: Latencies
    failover: FailoverPolicy
    chance: random.Random
    tools: ToolSurroundings


@asynccontextmanager
async def open_surroundings(
    bus: Bus, *, settings: ExecutorSettings, keyring: Keyring, topology: Topology
) -> AsyncGenerator[Surroundings]:
    """Listens, watches and keeps connections while inside, but takes no work. `topology` must be there.

    Waits until a router has published the providers. Raises `BusError`.
    """
    providers = ProviderDirectory()
    chance = random.SystemRandom()
    permits = Permits(
        bus,
        bucket=topology.permits.name,
        lease_s=settings.ack_wait_s,
        most_waiting=max(1, settings.slots // 4),
        chance=chance,
    )

    def on_change(change: KvChange) -> None:
        if change.key == PROVIDERS_KEY and change.value is not None:
            providers.replace(change.value)
            permits.limit(providers.limits)

    async with AsyncExitStack() as exits:
        exits.push_async_callback((await bus.kv_watch(topology.permits.name, permits.on_change)).stop)
        exits.push_async_callback(permits.close)
        exits.push_async_callback((await bus.kv_watch(topology.catalog.name, on_change)).stop)
        upstreams = await exits.enter_async_context(Upstreams.open(keyring, budgets=settings.budgets()))
        pools = ServedPools(bus, settings=settings, providers=providers, upstreams=upstreams)
        await pools.start()
        stops = Stops(bus, subjects=topology.subjects, marks=topology.cancelled.name, clock=time.time)
        await stops.listen()
        cooldowns = CoolDowns(bus, bucket=topology.cooldown.name, policy=settings.cooling(), clock=time.time)
        exits.push_async_callback((await bus.kv_watch(topology.cooldown.name, cooldowns.on_change)).stop)
        tools = await exits.enter_async_context(open_tools(bus, topology=topology, limits=settings.tool_limits()))
        yield Surroundings(
            bus=bus,
            topology=topology,
            pools=pools,
            terminal=TerminalWriter(bus, subjects=topology.subjects, stream=topology.results.name),
            payloads=Payloads(bus, topology=topology),
            stops=stops,
            providers=providers,
            upstreams=upstreams,
            cooldowns=cooldowns,
            permits=permits,
            latencies=Latencies(),
            failover=settings.failover(),
            chance=chance,
            tools=tools,
        )
