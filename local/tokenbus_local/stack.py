"""Tokenbus on one machine: nats-server, the router, executors, and the simulator when there is no provider key."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tokenbus_local.environment import ProviderKeys, executor_environment, plain_environment
from tokenbus_local.nats_server import nats_server
from tokenbus_local.services import ServiceProcess, service


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that runs."""

    nats_url: str
    simulator_url: str | None
    """Where the simulator is, or None: a real provider answers."""
    services: tuple[ServiceProcess, ...]

    async def watch(self) -> None:
        """Returns never; raises an `ExceptionGroup` of `ServiceDiedError` when a service ends by itself."""
        async with asyncio.TaskGroup() as group:
            for running in self.services:
                group.create_task(running.watch())


@asynccontextmanager
async def stack(
    keys: ProviderKeys, *, store: Path, port: int = -1, executors: int = 1, log: IO[bytes] | None = None
) -> AsyncGenerator[Stack]:
    """Start everything; on leaving, executors and router drain before nats-server stops.

    `store` keeps the streams; `port` -1 picks a free one; `log` takes the services' output, None: standard error.
    Raises `NatsServerError` and `ServiceDiedError`.
    """
    async with AsyncExitStack() as exits:
        scratch = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="tokenbus-")))
        server = await exits.enter_async_context(nats_server(store=store, port=port))
        bus = {"TOKENBUS_NATS_URL": server.url}
        services: list[ServiceProcess] = []

        async def start(name: str, module: str, environment: dict[str, str]) -> ServiceProcess:
            starting = service(name, module, environment=environment, scratch=scratch, log=log)
            services.append(await exits.enter_async_context(starting))
            return services[-1]

        await start("router", "tokenbus_router", {**plain_environment(), **bus})
        simulator_url: str | None = None
        if not keys.openai:
            url_file = scratch / "simulator.url"
            environment = {**plain_environment(), "TOKENBUS_SIMULATOR_URL_FILE": str(url_file)}
            simulator = await start("simulator", "tokenbus_simulator", environment)
            await simulator.ready()
            simulator_url = url_file.read_text().strip()
        for number in range(1, executors + 1):
            environment = {**executor_environment(keys, simulator_url=simulator_url), **bus}
            await start(f"executor-{number}", "tokenbus_executor", environment)
        async with asyncio.TaskGroup() as group:
            for starting in services:
                if starting.name != "simulator":
                    group.create_task(starting.ready())
        yield Stack(nats_url=server.url, simulator_url=simulator_url, services=tuple(services))
