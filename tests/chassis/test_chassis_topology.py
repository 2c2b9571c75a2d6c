"""What a Tokenbus stores, on a real server, whoever creates it."""

import asyncio
from dataclasses import replace

import pytest

from tests.conftest import StartNatsServer
from tokenbus.bus import Bus
from tokenbus.errors import BusRefusedError, NoStreamError, StreamFullError
from tokenbus_chassis.topology import TopologyLimits, ensure_topology, topology
from tokenbus_schemas import Pool, Tenant

POOLS = (Pool("openai"), Pool("groq"))
TENANT = Tenant("acme")
OTHER = Tenant("other")


async def test_everything_is_made_once(bus: Bus, root: str) -> None:
    wanted = topology(root, pools=POOLS)
    made = await ensure_topology(bus, wanted)
    assert {ensured.outcome for ensured in made} == {"created"}
    capitals = root.upper()
    streams = {f"{capitals}_{name}" for name in ("REQUESTS", "WORK", "WAITING", "EVENTS", "RESULTS", "DEAD")}
    buckets = {f"KV_{root}_{name}" for name in ("catalog", "cancelled", "cooldown", "checkpoints", "tools")}
    assert streams | buckets <= set(await bus.stream_names())
    assert {ensured.outcome for ensured in await ensure_topology(bus, wanted)} == {"unchanged"}


def test_consumers_are_named_for_those_who_scale_by_them() -> None:
    consumers = {(each.stream, each.name): each for each in topology("tb", pools=POOLS).consumers}
    assert set(consumers) == {
        ("TB_REQUESTS", "router_priority"),
        ("TB_REQUESTS", "router_standard"),
        ("TB_REQUESTS", "router_low"),
        ("TB_RESULTS", "router_due"),
        *(("TB_WORK", f"{pool}_{urgency}") for pool in POOLS for urgency in ("priority", "standard", "low")),
    }
    assert consumers["TB_REQUESTS", "router_low"].filter_subject == "tb.requests.*.low"
    assert consumers["TB_WORK", "groq_low"].filter_subject == "tb.work.groq.low.*"


async def test_many_processes_may_make_it_at_once(nats_url: str, root: str) -> None:
    async def ensure() -> None:
        async with Bus.connect(nats_url, name="test") as own:
            await ensure_topology(own, topology(root, pools=POOLS))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(ensure())


async def test_a_pool_that_is_added_later_gets_its_consumers(bus: Bus, root: str) -> None:
    await ensure_topology(bus, topology(root, pools=POOLS[:1]))
    made = await ensure_topology(bus, topology(root, pools=POOLS))
    assert [ensured.name for ensured in made if ensured.outcome == "created"] == [
        f"groq_{urgency}" for urgency in ("priority", "standard", "low")
    ]


async def test_a_changed_limit_is_applied_and_logged(bus: Bus, root: str, caplog: pytest.LogCaptureFixture) -> None:
    await ensure_topology(bus, topology(root))
    longer = TopologyLimits(events_max_age_s=7200.0)
    made = await ensure_topology(bus, topology(root, limits=longer))
    assert [ensured.name for ensured in made if ensured.outcome == "updated"] == [f"{root.upper()}_EVENTS"]
    record = next(record for record in caplog.records if "drifted" in record.message)
    assert (vars(record)["setting"], vars(record)["wanted"]) == ("max_age", 7200 * 10**9)


async def test_a_tenant_with_all_its_work_in_a_queue_is_refused_more_there_and_nobody_else(bus: Bus, root: str) -> None:
    stored = topology(root, limits=TopologyLimits(tenant_max_work=3))
    await ensure_topology(bus, stored)
    for _ in range(3):
        await bus.publish_stored(stored.subjects.work(POOLS[0], "standard", TENANT), b"")
    with pytest.raises(StreamFullError):
        await bus.publish_stored(stored.subjects.work(POOLS[0], "standard", TENANT), b"")
    await bus.publish_stored(stored.subjects.work(POOLS[0], "low", TENANT), b"")
    await bus.publish_stored(stored.subjects.work(POOLS[1], "standard", TENANT), b"")
    await bus.publish_stored(stored.subjects.work(POOLS[0], "standard", OTHER), b"")


async def test_a_tenant_with_too_many_requests_is_refused_more_and_nobody_else_is(bus: Bus, root: str) -> None:
    stored = topology(root, limits=TopologyLimits(tenant_max_requests=2))
    await ensure_topology(bus, stored)
    for _ in range(2):
        await bus.publish_stored(stored.subjects.request(TENANT, "standard"), b"")
    with pytest.raises(StreamFullError):
        await bus.publish_stored(stored.subjects.request(TENANT, "standard"), b"")
    await bus.publish_stored(stored.subjects.request(TENANT, "priority"), b"")
    await bus.publish_stored(stored.subjects.request(OTHER, "standard"), b"")


@pytest.mark.parametrize("subject", ["requests.t.urgent", "requests.t.more.standard", "work.openai.urgent.t"])
async def test_a_subject_that_no_queue_serves_is_refused(bus: Bus, root: str, subject: str) -> None:
    await ensure_topology(bus, topology(root))
    with pytest.raises(NoStreamError):
        await bus.publish_stored(f"{root}.{subject}", b"")


async def test_a_result_replaces_the_fence_before_it(bus: Bus, root: str) -> None:
    stored = topology(root)
    await ensure_topology(bus, stored)
    fence = await bus.publish_stored(f"{root}.results.t.r", b"fence", expected_last_subject_sequence=0)
    await bus.publish_stored(f"{root}.results.t.r", b"end", expected_last_subject_sequence=fence.sequence)
    page = await bus.read_stored(stored.results.name, f"{root}.results.t.r")
    assert [message.data for message in page.messages] == [b"end"]


async def test_it_waits_for_a_jetstream_that_is_not_there_yet(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config="jetstream: disabled")
    async with Bus.connect(server.url, name="test") as bus:
        with pytest.raises(NoStreamError):
            await ensure_topology(bus, topology("tb"), timeout_s=0.3)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ensure_topology(bus, topology("tb"), timeout_s=10.0))
            server.stop()
            server.reconfigure("jetstream: {}")
            await asyncio.to_thread(server.start)
        assert "TB_REQUESTS" in await bus.stream_names()


async def test_what_can_not_be_had_is_refused_at_once(bus: Bus, root: str) -> None:
    wanted = topology(root, limits=TopologyLimits(replicas=3))
    with pytest.raises(BusRefusedError, match="replicas > 1 not supported"):
        await ensure_topology(bus, wanted, timeout_s=30.0)


def test_a_bad_root_is_named() -> None:
    with pytest.raises(ValueError, match="root 'a.b'"):
        topology("a.b")


def test_names_follow_the_root() -> None:
    one, two = topology("a"), topology("b")
    assert not {stream.name for stream in one.streams} & {stream.name for stream in two.streams}
    assert replace(one, pools=POOLS).consumers[-1].name == "groq_low"


def test_everything_that_is_stored_has_the_replicas_of_the_installation(root: str) -> None:
    wanted = topology(root, limits=TopologyLimits(replicas=3))

    assert {stored.replicas for stored in (*wanted.streams, *wanted.buckets)} == {3}
