"""A real router in this process, and what a client and an executor see of it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import settings

from tests.conftest import eventually
from tokenbus.bus import Bus, Message, StoredMessage
from tokenbus_chassis.run import running_service
from tokenbus_chassis.topology import Topology, topology
from tokenbus_router.app import routing
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.settings import RouterSettings
from tokenbus_schemas import Channel, EventLine, Pool, RequestHeaders, RequestId, Tenant, split_message
from tokenbus_translate import LifecycleCheck

# Other work on the same machine must not fail a test.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

TENANT = Tenant("acme")
CHANNEL = Channel("desk")
POOL = Pool("bench")
GOOD: dict[str, Any] = {"model": "lab/one", "input": "hi"}
CATALOG = """\
providers:
  lab:
    base_url: https://lab.example/v1
    api_key_env: LAB_KEY
    apis: [responses, chat_completions]
    pool: bench
models:
  lab/one: {targets: [lab], aliases: [one]}
  lab/*: {targets: [lab]}
"""

StartRouter = Callable[..., Any]


class Desk:
    """A client's and an executor's view of one root."""

    def __init__(self, bus: Bus, *, stored: Topology) -> None:
        self.bus = bus
        self.stored = stored
        self.subjects = stored.subjects
        self.live: defaultdict[str, list[EventLine]] = defaultdict(list)

    async def open(self) -> None:
        await self.bus.subscribe(self.subjects.channel_events(TENANT, CHANNEL), self._on_events)
        await self.bus.flush()

    def _on_events(self, message: Message) -> None:
        address = self.subjects.parse_events(message.subject)
        self.live[address.request_id] += split_message(message.data)

    async def send(
        self,
        body: object,
        request_id: str,
        *,
        headers: Mapping[str, str] | None = None,
        subject: str | None = None,
        retry_for_s: float = 0.0,
    ) -> None:
        """A chat-request event; `body` bytes go as they are."""
        identity = RequestHeaders(RequestId(request_id), CHANNEL).to_wire()
        await self.bus.publish_stored(
            subject or self.subjects.request(TENANT, "standard"),
            body if isinstance(body, bytes) else orjson.dumps(body),
            headers={**identity, **(headers or {})},
            retry_for_s=retry_for_s,
        )

    async def ended(self, request_id: str) -> list[Mapping[str, Any]]:
        """The live events of a request that ends, checked as a whole sequence."""
        await eventually(lambda: any(line.is_terminal for line in self.live[request_id]))
        events = [line.data for line in self.live[request_id]]
        check = LifecycleCheck(first=events[0]["sequence_number"])
        for event in events:
            check.feed(event)
        check.close()
        return events

    async def error(self, request_id: str) -> Mapping[str, Any]:
        """The error of a request that fails."""
        events = await self.ended(request_id)
        assert events[-1]["type"] == "response.failed"
        return events[-1]["response"]["error"]

    async def result(self, request_id: str) -> StoredMessage | None:
        subject = self.subjects.result(TENANT, RequestId(request_id))
        return await self.bus.last_message_at_leader(self.stored.results.name, subject)

    async def work(self) -> StoredMessage | None:
        """The newest work of the pool."""
        subject = self.subjects.work(POOL, "standard", TENANT)
        return await self.bus.last_message_at_leader(self.stored.work.name, subject)

    async def dead(self) -> StoredMessage | None:
        return await self.bus.last_message_at_leader(self.stored.dead.name, self.subjects.dead("requests"))

    async def waiting_request(self) -> StoredMessage | None:
        """A request that was not acknowledged yet."""
        return await self.bus.last_message_at_leader(self.stored.requests.name, f"{self.subjects.root}.requests.>")

    async def publish_events(self, request_id: str, *lines: bytes, attempt: int = 1) -> None:
        """As an executor does; returns when EVENTS has them."""
        subject = self.subjects.events(TENANT, CHANNEL, RequestId(request_id), attempt)
        await self.bus.publish_stored(subject, b"\n".join(lines))

    async def call(self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None) -> Any:
        reply = await self.bus.request(subject, payload, headers=headers, timeout_s=5.0)
        return orjson.loads(reply.data)

    async def replay(self, request_id: str, **question: Any) -> Any:
        payload = orjson.dumps(question) if question else b""
        return await self.call(self.subjects.replay(TENANT, RequestId(request_id)), payload)

    async def cancel(self, request_id: str) -> Any:
        return await self.call(self.subjects.control(TENANT, RequestId(request_id)), b'{"action":"cancel"}')


async def soon(read: Callable[[], Awaitable[StoredMessage | None]]) -> StoredMessage:
    """What `read` returns as soon as it is there."""
    async with asyncio.timeout(15.0):
        while (found := await read()) is None:
            continue
    return found


async def gone(read: Callable[[], Awaitable[StoredMessage | None]]) -> None:
    """Returns when `read` finds nothing any more."""
    async with asyncio.timeout(15.0):
        while await read() is not None:
            continue


@asynccontextmanager
async def running_router(nats_url: str, root: str, **settings: Any) -> AsyncGenerator[Bus]:
    """A router like the deployed one, but for its settings."""
    chosen = RouterSettings(nats_url=nats_url, root=root, drain_timeout_s=2.0, **settings)
    catalog = load_catalog(CATALOG)
    async with running_service(
        "router", lambda bus: routing(bus, settings=chosen, catalog=catalog), settings=chosen
    ) as bus:
        yield bus


@pytest.fixture
async def router(nats_url: str, root: str) -> AsyncGenerator[Bus]:
    async with running_router(nats_url, root) as bus:
        yield bus


@pytest.fixture
async def desk(bus: Bus, root: str, router: Bus) -> Desk:
    """A client of the running router."""
    return await open_desk(bus, root)


async def open_desk(bus: Bus, root: str) -> Desk:
    opened = Desk(bus, stored=topology(root))
    await opened.open()
    return opened
