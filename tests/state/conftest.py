"""A whole Tokenbus in this process, whose router and executor can be restarted: conversations outlive both."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest

from tokenbus import Client, ClientOptions, ReadingTimes
from tokenbus.bus import Bus
from tokenbus_chassis.run import running_service
from tokenbus_chassis.topology import Topology, topology
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_router.app import routing
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.settings import RouterSettings
from tokenbus_schemas import Response
from tokenbus_simulator import Exchange, Simulator

CATALOG = """\
providers:
  lab: {{base_url: "{url}", api_key_env: LAB_KEY, apis: [responses, chat_completions], pool: bench}}
  other: {{base_url: "{url}", api_key_env: LAB_KEY, apis: [responses], pool: bench}}
  chatty: {{base_url: "{url}", api_key_env: LAB_KEY, apis: [chat_completions], pool: bench}}
models:
  lab/*: {{targets: [lab]}}
  other/*: {{targets: [other]}}
  chatty/*: {{targets: [chatty]}}
"""
CLIENT = ClientOptions(times=ReadingTimes(silence_s=0.5, unknown_s=0.5))


class Installation:
    """One root on the session's server."""

    def __init__(self, nats_url: str, *, root: str, simulator: Simulator, client: Client, bus: Bus) -> None:
        self.client = client
        self.simulator = simulator
        self.bus = bus
        self.stored: Topology = topology(root)
        self._fields: dict[str, Any] = {"nats_url": nats_url, "root": root, "drain_timeout_s": 0.5, "ack_wait_s": 2.0}
        self._router = AsyncExitStack()
        self._executor = AsyncExitStack()

    async def start(self, **changes: Any) -> None:
        """Router and executor; `changes`: settings of both."""
        self._fields = {**self._fields, **changes}
        catalog = load_catalog(CATALOG.format(url=self.simulator.base_url))
        settings = RouterSettings(**self._fields)
        await self._router.enter_async_context(
            running_service("router", lambda bus: routing(bus, settings=settings, catalog=catalog), settings=settings)
        )
        await self.start_executor()

    async def start_executor(self) -> None:
        settings = ExecutorSettings(**self._fields)
        keyring = Keyring({"LAB_KEY": "sk-test"})
        await self._executor.enter_async_context(
            running_service(
                "executor", lambda bus: executing(bus, settings=settings, keyring=keyring), settings=settings
            )
        )

    async def stop_executor(self) -> None:
        await self._executor.aclose()

    async def stop(self) -> None:
        await self.stop_executor()
        await self._router.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def turn(self, model: str, said: object, *, after: Response | None = None, **params: Any) -> Response:
        """One whole request, which continues `after`."""
        previous = {} if after is None else {"previous_response_id": after.id}
        return await self.client.respond({"model": model, "input": said, **previous, **params}, timeout_s=30)

    def asked(self) -> Mapping[str, Any]:
        """What the provider was sent last."""
        exchanges: list[Exchange] = list(self.simulator.record)
        return cast("Mapping[str, Any]", exchanges[-1].body)


@asynccontextmanager
async def installed(nats_url: str, *, root: str, bus: Bus, **changes: Any) -> AsyncGenerator[Installation]:
    async with (
        Simulator(seed="tests") as simulator,
        Bus.connect(nats_url, name="client") as client_bus,
        Client(client_bus, root=root, options=CLIENT) as client,
    ):
        installation = Installation(nats_url, root=root, simulator=simulator, client=client, bus=bus)
        await installation.start(**changes)
        yield installation
        await installation.stop()


@pytest.fixture
async def installation(nats_url: str, root: str, bus: Bus) -> AsyncGenerator[Installation]:
    async with installed(nats_url, root=root, bus=bus) as running:
        yield running
