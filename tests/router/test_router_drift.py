"""What someone changes in NATS behind the router's back is put right and told."""

import asyncio

import pytest

from tests.conftest import eventually
from tests.router.conftest import GOOD, open_desk, running_router, soon
from tokenbus.bus import Bus, StreamSpec
from tokenbus_chassis.topology import topology
from tokenbus_chassis.topology_guard import TOLD_S, TopologyGuard
from tokenbus_schemas import Pool


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


async def test_a_setting_that_drifts_is_put_right_and_told(
    bus: Bus, root: str, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_router(nats_url, root, topology_check_s=0.2):
        wanted = topology(root).dead
        await bus.ensure_stream(StreamSpec(wanted.name, wanted.subjects, max_age_s=5.0, allow_direct=True))
        await eventually(lambda: "a setting in NATS had drifted and was put right" in messages(caplog), timeout_s=20)
        assert (await bus.ensure_stream(wanted)).outcome == "unchanged"


async def test_a_queue_that_vanishes_is_made_anew_and_serves(
    bus: Bus, root: str, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_router(nats_url, root, topology_check_s=0.2):
        desk = await open_desk(bus, root)
        await bus.delete_consumer(desk.stored.work.name, "bench_low")
        await bus.delete_stream(desk.stored.catalog.to_stream().name)
        await eventually(lambda: messages(caplog).count("vanished from NATS and was made anew") >= 2, timeout_s=20)
        async with asyncio.timeout(20):
            while await bus.kv_get(desk.stored.catalog.name, "providers") is None:
                pass
        await desk.send(GOOD, "r1")
        await soon(desk.work)


async def test_changes_are_told_for_a_while(bus: Bus, root: str) -> None:
    now = 1000.0
    guard = TopologyGuard(bus, clock=lambda: now)
    wanted = topology(root)
    assert not await guard.ensure(wanted)
    assert guard.troubles() == []
    await bus.delete_stream(wanted.dead.name)
    assert await guard.ensure(wanted)
    assert guard.troubles() == [f"{wanted.dead.name} had vanished from NATS and was made anew, empty"]
    now += TOLD_S + 1
    assert guard.troubles() == []


async def test_what_a_changed_catalog_adds_has_not_vanished(bus: Bus, root: str) -> None:
    guard = TopologyGuard(bus, clock=lambda: 0.0)
    await guard.ensure(topology(root))
    assert not await guard.ensure(topology(root, pools=[Pool("fresh")]))
