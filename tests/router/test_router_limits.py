"""A request that breaks its router each time ends, and what ended badly is told from what a router finished."""

from tests.router.conftest import GOOD, TENANT, Desk, gone, open_desk, running_router, soon
from tests.router.test_router_calls import line, store_end
from tests.wear import wear
from tokenbus.bus import Bus
from tokenbus_chassis.topology import ensure_topology, topology
from tokenbus_schemas.events import COMPLETED
from tokenbus_schemas.headers import REASON, REQUEST_ID


async def without_router(bus: Bus, root: str) -> Desk:
    await ensure_topology(bus, topology(root))
    return await open_desk(bus, root)


async def worn(desk: Desk, *, times: int) -> None:
    await wear(desk.bus, desk.stored.request_consumer("standard"), times=times)


async def test_a_request_that_was_taken_up_too_often_ends_and_is_a_dead_letter(
    bus: Bus, root: str, nats_url: str
) -> None:
    desk = await without_router(bus, root)
    await desk.send(b"kills whoever reads it", "r1")
    await worn(desk, times=2)
    async with running_router(nats_url, root, max_deliveries=2):
        assert (await desk.error("r1"))["type"] == "attempts_exhausted"
        await gone(desk.waiting_request)
    dead = await soon(desk.dead)
    assert dead.data == b"kills whoever reads it"
    assert dead.headers[REASON].startswith("attempts_exhausted: ")
    assert dead.headers[REQUEST_ID] == "r1"


async def test_a_request_that_was_taken_up_as_often_as_allowed_is_served(bus: Bus, root: str, nats_url: str) -> None:
    desk = await without_router(bus, root)
    await desk.send(GOOD, "r1")
    await worn(desk, times=1)
    async with running_router(nats_url, root, max_deliveries=2):
        await soon(desk.work)
        await gone(desk.waiting_request)


async def test_a_request_that_has_ended_is_no_dead_letter(bus: Bus, root: str, nats_url: str) -> None:
    desk = await without_router(bus, root)
    await store_end(desk, "r1", line(3, event_type=COMPLETED))
    await desk.send(GOOD, "r1")
    await worn(desk, times=1)
    async with running_router(nats_url, root, max_deliveries=1):
        await gone(desk.waiting_request)
    assert await desk.dead() is None


async def test_hand_backs_that_left_a_mark_do_not_count(bus: Bus, root: str, nats_url: str) -> None:
    desk = await without_router(bus, root)
    await desk.send(GOOD, "r1")
    waiting = await soon(desk.waiting_request)
    for attempt in (1, 2):
        mark = desk.subjects.returned(desk.stored.requests.name, waiting.sequence, str(attempt))
        await bus.publish_stored(mark, b"")
    await worn(desk, times=2)
    async with running_router(nats_url, root, max_deliveries=1):
        await soon(desk.work)
        await gone(desk.waiting_request)
    assert await desk.result("r1") is None
    assert desk.subjects.request(TENANT, "standard") == waiting.subject
