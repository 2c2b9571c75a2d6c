"""Tokenbus on one machine: nats-server, every service, and the simulator when there is no provider key."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tokenbus_local.environment import ProviderKeys, executor_environment, plain_environment
from tokenbus_local.nats_server import nats_server
from tokenbus_local.service_process import ServiceProcess, StartingService, service
from tokenbus_local.services import EXAMPLE_TOOLS, local_services
from tokenbus_local.simulator import simulator

DEFAULT_SCRIPT = "ttft=200;rate=40"
"""How the simulator answers: about as fast as a large model."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that runs."""

    nats_url: str
    nats_pid: int
    simulator_url: str | None
    """Where the simulator is, or None: a real provider answers."""
    services: tuple[ServiceProcess, ...]
    gateway_url: str | None
    """The gateway's base URL, if there is one."""

    async def watch(self) -> None:
        """Returns never; raises an `ExceptionGroup` of `ServiceDiedError` when a service ends by itself."""
        async with asyncio.TaskGroup() as group:
            for running in self.services:
                group.create_task(running.watch())


@asynccontextmanager
async def stack(
    keys: ProviderKeys,
    *,
    store: Path,
    port: int = -1,
    executors: int = 1,
    script: str = DEFAULT_SCRIPT,
    tools: Mapping[str, str] = EXAMPLE_TOOLS,
    gateway: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> AsyncGenerator[Stack]:
    """Start everything; on leaving, the services drain before nats-server stops.

    `store` keeps the streams; `port` -1 picks a free one; `script` is how the simulator answers; `tools`: what the
    tools service serves; `gateway`: the settings of a gateway, None: there is none; `log` takes the services' output,
    None: standard error. Raises `NatsServerError` and `ServiceDiedError`.
    """
    async with AsyncExitStack() as exits:
        scratch = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="tokenbus-")))
        server = await exits.enter_async_context(nats_server(store=store, port=port))
        plain = {**plain_environment(), "TOKENBUS_NATS_URL": server.url}
        services: list[ServiceProcess] = []
        simulator_url: str | None = None
        if not keys.openai:
            simulated = simulator(script=script, environment=plain, log=log)
            process, simulator_url = await exits.enter_async_context(simulated)
            services.append(process)
        with_keys = executor_environment(keys, simulator_url=simulator_url) | {"TOKENBUS_NATS_URL": server.url}
        starting: list[StartingService] = []
        for row in local_services(plain=plain, with_keys=with_keys, tools=tools, gateway=gateway, executors=executors):
            started = service(row.name, row.module, environment=row.environment, scratch=scratch, log=log)
            starting.append(await exits.enter_async_context(started))
        async with asyncio.TaskGroup() as group:
            said = {one.service.name: group.create_task(one.ready()) for one in starting}
        services += [one.service for one in starting]
        yield Stack(
            nats_url=server.url,
            nats_pid=server.process.pid,
            simulator_url=simulator_url,
            services=tuple(services),
            gateway_url=None if gateway is None else said["gateway"].result(),
        )
