"""A real executor in this process, a simulator as its provider, and what a router and a client see of it."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import eventually
from tests.valid_stream import Json, check_stream
from tokenbus.bus import Bus, Message
from tokenbus.errors import BusError, BusTimeoutError, NoRespondersError
from tokenbus_chassis.run import Lifecycle, running_service
from tokenbus_chassis.topology import Topology, TopologyLimits, ensure_topology, topology
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_schemas import (
    ATTEMPT_STRIDE,
    Channel,
    EventLine,
    Pool,
    PriorityClass,
    ProviderRow,
    ProviderTable,
    RequestId,
    Target,
    Tenant,
    WorkOrder,
    split_message,
)
from tokenbus_schemas.work import PROVIDERS_KEY
from tokenbus_simulator import Simulator

TENANT = Tenant("acme")
CHANNEL = Channel("desk")
POOL = Pool("lab")
ACK_WAIT_S = 2.0
QUICK: dict[str, Any] = {
    "ack_wait_s": ACK_WAIT_S,
    "drain_timeout_s": 0.2,
    "connect_timeout_s": 1.0,
    "first_event_timeout_s": 10.0,
    "event_gap_timeout_s": 10.0,
    "retry_pause_s": 0.01,
    "cooldown_first_s": 0.2,
}
"""The executor's times, short enough for tests."""
KEY = "sk-test-0123456789abcdef"
BOTH_APIS = ("responses", "chat_completions")

StartExecutor = Callable[..., AbstractAsyncContextManager[Bus]]


def provider(simulator: Simulator, **changes: Any) -> ProviderRow:
    """The simulator as a provider."""
    fields: dict[str, Any] = {"name": "lab", "base_url": simulator.base_url, "pool": POOL, "api_key_env": "LAB_KEY"}
    return ProviderRow(**{**fields, **changes})


def target(model: str = "sim", *, api: str = "responses", **changes: Any) -> Target:
    fields: dict[str, Any] = {"provider": "lab", "model": model, "api": api, "pool": POOL}
    return Target(**{**fields, **changes})


class Desk:
    """A router's and a client's view of one root."""

    def __init__(self, bus: Bus, *, stored: Topology) -> None:
        self.bus = bus
        self.stored = stored
        self.subjects = stored.subjects
        self.live: defaultdict[str, list[EventLine]] = defaultdict(list)
        self.messages: defaultdict[str, list[bytes]] = defaultdict(list)

    async def open(self) -> None:
        await ensure_topology(self.bus, self.stored)
        await self.bus.subscribe(self.subjects.channel_events(TENANT, CHANNEL), self._on_events)
        await self.bus.flush()

    def _on_events(self, message: Message) -> None:
        address = self.subjects.parse_events(message.subject)
        self.messages[address.request_id].append(message.data)
        self.live[address.request_id] += split_message(message.data)

    async def publish_providers(self, *rows: ProviderRow) -> None:
        """As the router does."""
        table = ProviderTable(providers=list(rows)).model_dump_json().encode()
        await self.bus.kv_put(self.stored.catalog.name, PROVIDERS_KEY, table)

    def order(self, *targets: Target, timeout_s: float = 30.0, **changes: Any) -> WorkOrder:
        now = time.time()
        fields: dict[str, Any] = {
            "request_id": f"r{secrets.token_hex(6)}",
            "tenant": TENANT,
            "channel": CHANNEL,
            "priority_class": "standard",
            "accepted_at": now,
            "deadline": now + timeout_s,
            "model": "lab/one",
            "request": {"input": "Hello there."},
            "targets": list(targets) or [target()],
        }
        return WorkOrder(**{**fields, **changes})

    async def send(self, order: WorkOrder) -> str:
        """Work, as the router publishes it; the request id."""
        pool = Pool(order.targets[0].pool)
        await self.send_raw(order.model_dump_json().encode(), pool=pool, priority_class=order.priority_class)
        return order.request_id

    async def send_raw(self, payload: bytes, *, pool: Pool = POOL, priority_class: PriorityClass = "standard") -> None:
        await self.bus.publish_stored(self.subjects.work(pool, priority_class, TENANT), payload)

    async def ask(self, model: str = "sim", *, api: str = "responses", **changes: Any) -> list[Json]:
        """The events of the whole answer, checked."""
        return await self.answered(await self.send(self.order(target(model, api=api), **changes)))

    async def answered(self, request_id: str, *, attempt: int = 1, timeout_s: float = 30.0) -> list[Json]:
        """The events of a request that ends in this attempt, checked as one sequence with those of earlier ones."""
        await self.until(request_id, lambda lines: any(line.is_terminal for line in lines), timeout_s=timeout_s)
        lines = self.live[request_id]
        assert lines[-1].attempt == attempt
        return check_stream(lines, first=lines[0].attempt * ATTEMPT_STRIDE - ATTEMPT_STRIDE)

    async def until(
        self, request_id: str, fact: Callable[[Sequence[EventLine]], bool], *, timeout_s: float = 5.0
    ) -> None:
        """Returns when the request's events say so."""
        await eventually(lambda: fact(self.live[request_id]), timeout_s=timeout_s)

    async def stop(self, request_id: str, *, timeout_s: float = 0.5) -> bool:
        """A stop message, as the router sends it; whether an executor answered."""
        try:
            await self.bus.request(self.subjects.stop(TENANT, RequestId(request_id)), b"", timeout_s=timeout_s)
        except (NoRespondersError, BusTimeoutError):
            return False
        return True

    async def mark(self, request_id: str) -> None:
        """The stored mark of a cancelled request, as the router writes it."""
        await self.bus.kv_put(self.stored.cancelled.name, f"{TENANT}.{request_id}", b"cancel")

    async def stored_end(self, request_id: str) -> EventLine | None:
        """What stands in RESULTS."""
        subject = self.subjects.result(TENANT, RequestId(request_id))
        stored = await self.bus.last_message(self.stored.results.name, subject)
        return None if stored is None else EventLine(stored.data)

    async def stored_end_when_up(self, request_id: str) -> EventLine | None:
        """The same while the server may be away: None then, too."""
        try:
            return await self.stored_end(request_id)
        except BusError:
            return None

    async def nothing_left(self, *, timeout_s: float = 2.0) -> None:
        """Returns when WORK is empty: all was acknowledged."""
        subject = self.subjects.work(POOL, "standard", TENANT)
        async with asyncio.timeout(timeout_s):
            while await self.bus.last_message_at_leader(self.stored.work.name, subject) is not None:
                pass


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with Simulator(seed="tests") as running:
        yield running


@pytest.fixture
async def desk(bus: Bus, root: str, simulator: Simulator) -> Desk:
    """One provider, `lab`, which is the simulator; no executor runs yet."""
    opened = Desk(bus, stored=topology(root, limits=TopologyLimits(ack_wait_s=ACK_WAIT_S), pools=[POOL]))
    await opened.open()
    await opened.publish_providers(provider(simulator))
    return opened


@pytest.fixture
def start_executor(nats_url: str, root: str) -> StartExecutor:
    """Starts an executor: `async with start_executor(slots=1, keys={…}) as its_bus`. Ready when it yields."""

    @asynccontextmanager
    async def start(
        *, keys: Mapping[str, str] | None = None, lifecycle: Lifecycle | None = None, **changes: Any
    ) -> AsyncGenerator[Bus]:
        fields: dict[str, Any] = {"nats_url": nats_url, "root": root, **QUICK}
        settings = ExecutorSettings(**{**fields, **changes})
        keyring = Keyring({"LAB_KEY": KEY} if keys is None else keys)

        async with running_service(
            "executor", lambda bus: executing(bus, settings=settings, keyring=keyring), settings=settings
        ) as its_bus:
            yield its_bus

    return start


@pytest.fixture
async def executor(desk: Desk, start_executor: StartExecutor) -> AsyncGenerator[Bus]:
    """One executor; its bus."""
    del desk
    async with start_executor() as its_bus:
        yield its_bus


@pytest.fixture
async def impatient(desk: Desk, start_executor: StartExecutor) -> AsyncGenerator[Bus]:
    """One executor that soon gives up waiting for events; its bus."""
    del desk
    async with start_executor(first_event_timeout_s=0.8, event_gap_timeout_s=0.8) as its_bus:
        yield its_bus


class Line:
    """A TCP line to the simulator that counts the connections made through it."""

    def __init__(self, simulator: Simulator) -> None:
        self._port = int(urlsplit(simulator.base_url).port or 0)
        self.connections = 0
        self.base_url = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pour(reader, back))
            group.create_task(_pour(there, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.fixture
async def line(simulator: Simulator) -> AsyncGenerator[Line]:
    counting = Line(simulator)
    server = await asyncio.start_server(counting.carry, "127.0.0.1", 0)
    async with server:
        counting.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield counting


async def in_time(seconds: float, awaitable: Any) -> Any:
    """The result, within so many seconds."""
    async with asyncio.timeout(seconds):
        return await awaitable
