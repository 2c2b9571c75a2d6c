"""Tenants in line: one that sends more than it may have in work waits, in order, and nobody else does."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.conftest import eventually
from tests.router.conftest import GOOD, POOL, TENANT, Desk, gone, open_desk, running_router, soon
from tokenbus.bus import Bus, StoredMessage
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.worker import Worker
from tokenbus_schemas import Tenant, WorkOrder

OTHER: Final = Tenant("other")
PLACES: Final = 3


async def counts(desk: Desk, kind: str) -> Mapping[str, int]:
    """How many messages each tenant has in WORK, or in WAITING."""
    stream = desk.stored.work if kind == "work" else desk.stored.waiting
    found = await desk.bus.subject_counts(stream.name, f"{desk.subjects.root}.{kind}.{POOL}.standard.*")
    return {subject.rpartition(".")[2]: count for subject, count in found.items()}


async def until(desk: Desk, kind: str, wanted: Mapping[str, int]) -> None:
    async with asyncio.timeout(20):
        while await counts(desk, kind) != wanted:
            continue


async def send(desk: Desk, *request_ids: str, tenant: Tenant = TENANT) -> None:
    for request_id in request_ids:
        await desk.send(GOOD, request_id, subject=desk.subjects.request(tenant, "standard"))


async def oldest_work(desk: Desk) -> StoredMessage:
    subject = desk.subjects.work(POOL, "standard", TENANT)
    return (await desk.bus.read_stored(desk.stored.work.name, subject, batch=1)).messages[0]


async def finish(desk: Desk) -> str:
    """As an executor does with the oldest work; its request id."""
    work = await oldest_work(desk)
    await desk.bus.delete_message(desk.stored.work.name, work.sequence)
    return WorkOrder.model_validate_json(work.data).request_id


@asynccontextmanager
async def executor(desk: Desk, *, slots: int = 20) -> AsyncGenerator[list[str]]:
    """Takes work and finishes it at once; the request ids, as they came."""
    done: list[str] = []

    async def handle(delivery: Delivery) -> None:
        done.append(WorkOrder.model_validate_json(delivery.data).request_id)
        await delivery.ack()

    names = [f"{POOL}_standard"]
    worker = Worker(desk.bus, stream=desk.stored.work.name, consumers=names, slots=slots, handler=handle)
    async with worker.running():
        yield done


async def test_what_is_beyond_a_tenants_places_waits_and_moves_up_in_order(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root, tenant_max_work=PLACES):
        desk = await open_desk(bus, root)
        wanted = [f"r{number}" for number in range(10)]
        for request_id in wanted:
            await send(desk, request_id)
            await gone(desk.waiting_request)
        await until(desk, "waiting", {TENANT: 7})
        assert await counts(desk, "work") == {TENANT: PLACES}

        finished = [await finish(desk)]
        await until(desk, "waiting", {TENANT: 6})
        assert await counts(desk, "work") == {TENANT: PLACES}
        async with executor(desk, slots=1) as done:
            await eventually(lambda: len(done) == 9, timeout_s=20)
        assert finished + done == wanted
        await until(desk, "waiting", {})


async def test_a_tenant_with_thousands_in_line_stands_before_another_with_no_more_than_its_places(
    bus: Bus, root: str, nats_url: str
) -> None:
    async with running_router(nats_url, root, tenant_max_work=PLACES):
        desk = await open_desk(bus, root)
        await send(desk, *(f"r{number}" for number in range(PLACES)))
        await until(desk, "work", {TENANT: PLACES})
        waiting = desk.subjects.waiting(POOL, "standard", TENANT)
        for number in range(10_000):
            await bus.publish(waiting, b"x" * 500, headers={"Nats-Msg-Id": f"w{number}", "Nats-TTL": "600s"})
        await until(desk, "waiting", {TENANT: 10_000})

        await send(desk, "mine", tenant=OTHER)
        await until(desk, "work", {TENANT: PLACES, OTHER: 1})
        assert await counts(desk, "waiting") == {TENANT: 10_000}


async def test_work_in_line_outlives_its_router(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root, tenant_max_work=1):
        desk = await open_desk(bus, root)
        await send(desk, "r1", "r2")
        await until(desk, "waiting", {TENANT: 1})
    await finish(desk)
    async with running_router(nats_url, root, tenant_max_work=1):
        await until(desk, "waiting", {})
        await until(desk, "work", {TENANT: 1})


async def test_several_routers_let_each_move_up_once(bus: Bus, root: str, nats_url: str) -> None:
    settings: dict[str, Any] = {"tenant_max_work": 2}
    async with running_router(nats_url, root, **settings), running_router(nats_url, root, **settings):
        desk = await open_desk(bus, root)
        wanted = [f"r{number}" for number in range(60)]
        await send(desk, *wanted)
        await gone(desk.waiting_request)
        async with executor(desk) as done:
            await eventually(lambda: len(done) >= len(wanted), timeout_s=30)
            await until(desk, "waiting", {})
            await until(desk, "work", {})
        assert sorted(done) == sorted(wanted)


async def test_a_tenant_of_the_table_has_the_places_it_names(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root, tenant_max_work=50, tenant_places=f"{TENANT}=2"):
        desk = await open_desk(bus, root)
        await send(desk, *(f"r{number}" for number in range(5)))
        await send(desk, *(f"o{number}" for number in range(5)), tenant=OTHER)
        await until(desk, "work", {TENANT: 2, OTHER: 5})
        await until(desk, "waiting", {TENANT: 3})
        await finish(desk)
        await until(desk, "waiting", {TENANT: 2})
        assert await counts(desk, "work") == {TENANT: 2, OTHER: 5}


async def test_a_request_in_line_is_cancelled_like_any_other(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root, tenant_max_work=1):
        desk = await open_desk(bus, root)
        await send(desk, "r1", "r2")
        await until(desk, "waiting", {TENANT: 1})
        await gone(desk.waiting_request)
        assert (await desk.cancel("r2"))["status"] == "cancelled"
        events = await desk.ended("r2")
        assert events[-1]["response"]["status"] == "cancelled"
        assert await soon(lambda: desk.result("r2"))


async def test_what_is_put_in_a_line_by_hand_moves_up_and_keeps_nobody_waiting(
    bus: Bus, root: str, nats_url: str
) -> None:
    async with running_router(nats_url, root, tenant_max_work=1):
        desk = await open_desk(bus, root)
        await bus.publish_stored(desk.subjects.waiting(POOL, "standard", TENANT), b"{}")
        await until(desk, "work", {TENANT: 1})
        await until(desk, "waiting", {})
        assert (await oldest_work(desk)).data == b"{}"
