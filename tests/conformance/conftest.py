"""One running router and executor for the whole suite, with the default catalog and Azure's older API; a simulator for
each test."""

import secrets
from collections.abc import AsyncGenerator
from typing import NamedTuple

import pytest
import pytest_asyncio

import tokenbus
from tests.conformance.bench import DATED_AZURE, DATED_KEY, KEYS, Bench
from tests.conformance.product_tables import ENDPOINTS
from tokenbus import Client
from tokenbus.bus import Bus
from tokenbus_chassis.run import running_service
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_router.app import routing
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.settings import RouterSettings
from tokenbus_simulator import Simulator


class Services(NamedTuple):
    """What runs."""

    client: Client
    environment: dict[str, str]
    """The executor's: a change counts from the next request on."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(nats_url: str) -> AsyncGenerator[Services]:
    """Router, executor and client as they are deployed; one call per target, so that errors are told at once."""
    root = f"t{secrets.token_hex(6)}"
    environment = {endpoint.key_env: KEYS[endpoint.name] for endpoint in ENDPOINTS}
    environment |= {endpoint.base_url_env: "http://127.0.0.1:9" for endpoint in ENDPOINTS} | DATED_KEY
    router = RouterSettings(nats_url=nats_url, root=root, drain_timeout_s=1.0)
    executor = ExecutorSettings(
        nats_url=nats_url,
        root=root,
        drain_timeout_s=1.0,
        first_event_timeout_s=1.5,
        event_gap_timeout_s=1.5,
        target_tries=1,
        cooldown_failures=1_000,
    )
    catalog = load_catalog(DATED_AZURE)
    keyring = Keyring(environment)
    async with (
        running_service("router", lambda bus: routing(bus, settings=router, catalog=catalog), settings=router),
        running_service("executor", lambda bus: executing(bus, settings=executor, keyring=keyring), settings=executor),
        tokenbus.connect(nats_url, root=root) as client,
    ):
        yield Services(client, environment)
    async with Bus.connect(nats_url, name="tests-cleanup") as bus:
        for name in await bus.stream_names():
            if name.startswith((f"{root.upper()}_", f"KV_{root}_")):
                await bus.delete_stream(name)


@pytest_asyncio.fixture(loop_scope="session")
async def bench(services: Services) -> AsyncGenerator[Bench]:
    """Every provider is a fresh simulator."""
    async with Simulator(seed="tests") as simulator:
        yield Bench(services.client, simulator=simulator, environment=services.environment)


@pytest_asyncio.fixture(loop_scope="session", params=["stream", "one piece"])
async def answering(bench: Bench, request: pytest.FixtureRequest) -> AsyncGenerator[Bench]:
    """The bench, once with providers that stream, and once with ones that answer with one JSON document."""
    if request.param == "stream":
        yield bench
        return
    async with bench.answering_in_one_piece():
        yield bench
