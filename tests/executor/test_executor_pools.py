"""Work whose next target is another pool's goes there over the bus, and still ends once."""

import asyncio
from typing import Any

import pytest

from tests.conftest import eventually
from tests.executor.conftest import ACK_WAIT_S, POOL, TENANT, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.executor.test_executor_failover import called
from tokenbus.bus import Bus
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import TopologyLimits, topology
from tokenbus_executor.handover import next_hop
from tokenbus_schemas import Pool, RequestId, Target, WorkOrder
from tokenbus_schemas.work import ATTEMPTS_PER_HOP, HOPS_PER_SUBMISSION
from tokenbus_simulator import Simulator

FAR = Pool("far")


@pytest.fixture
async def desk(bus: Bus, root: str, simulator: Simulator) -> Desk:
    """Providers `lab` and `remote`, each with a pool of its own."""
    opened = Desk(bus, stored=topology(root, limits=TopologyLimits(ack_wait_s=ACK_WAIT_S), pools=[POOL, FAR]))
    await opened.open()
    await opened.publish_providers(provider(simulator), provider(simulator, name="remote", pool=FAR))
    return opened


def far(model: str = "plain", **changes: Any) -> Target:
    return target(model, provider="remote", pool=FAR, **changes)


async def test_a_failing_target_is_followed_by_one_of_another_pool(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(executor_pools="lab"), start_executor(executor_pools="far"):
        request_id = await desk.send(desk.order(target("sim-500"), far(), target("never")))
        events = await desk.answered(request_id, attempt=ATTEMPTS_PER_HOP + 1)
        await desk.nothing_left()

    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["tokenbus"]["provider"] == "remote"
    assert text_of(events) != ""
    assert called(simulator) == ["sim-500", "plain"]
    assert {line.attempt for line in desk.live[request_id]} == {ATTEMPTS_PER_HOP + 1}


async def test_work_comes_back_for_a_target_of_the_first_pool(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(executor_pools="lab"), start_executor(executor_pools="far"):
        request_id = await desk.send(desk.order(target("sim-401"), far("sim-401"), target("plain")))
        events = await desk.answered(request_id, attempt=2 * ATTEMPTS_PER_HOP + 1)

    assert events[-1]["type"] == "response.completed"
    assert called(simulator) == ["sim-401", "sim-401", "plain"]


async def test_work_whose_first_target_cools_down_moves_at_once(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(executor_pools="lab", cooldown_first_s=30.0), start_executor(executor_pools="far"):
        for _ in range(2):
            await desk.answered(await desk.send(desk.order(target("sim-401"), far())), attempt=ATTEMPTS_PER_HOP + 1)

    assert called(simulator) == ["sim-401", "plain", "plain"]


async def test_an_executor_of_all_pools_hands_nothing_over(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor():
        events = await desk.answered(await desk.send(desk.order(target("sim-401"), far())))

    assert events[-1]["type"] == "response.completed"
    assert called(simulator) == ["sim-401", "plain"]


async def test_work_that_has_moved_and_comes_again_is_let_go(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    """The executor died after it had handed the work over and before it had acknowledged it."""
    order = desk.order(attempt_base=1)
    writer = TerminalWriter(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)
    await writer.fence(TENANT, RequestId(order.request_id), attempt=ATTEMPTS_PER_HOP + 1)
    async with start_executor():
        await desk.send(order)
        await desk.nothing_left()

    assert called(simulator) == []
    assert desk.live[order.request_id] == []


async def test_work_is_handed_over_once_however_often_it_is_delivered(
    desk: Desk, start_executor: StartExecutor
) -> None:
    order = desk.order(target("sim-401"), far())
    async with start_executor(executor_pools="lab"):
        for attempt_base in (0, 1):
            await desk.send(order.model_copy(update={"attempt_base": attempt_base}))
            await desk.nothing_left()
    page = await desk.bus.read_stored(desk.stored.work.name, desk.subjects.work(FAR, "standard", TENANT))

    assert len(page.messages) == 1
    moved = WorkOrder.model_validate_json(page.messages[0].data)
    assert (moved.hop, moved.attempt_base, [one.provider for one in moved.targets]) == (2, ATTEMPTS_PER_HOP, ["remote"])


async def test_a_full_queue_of_the_other_pool_is_as_good_as_a_failed_target(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    limits = TopologyLimits(ack_wait_s=ACK_WAIT_S, tenant_max_work=1)
    await desk.bus.ensure_stream(topology(desk.subjects.root, limits=limits).work)
    await desk.send_raw(b"{}", pool=FAR)
    async with start_executor(executor_pools="lab", tenant_max_work=1):
        order = desk.order(far(), target("plain"))
        await desk.send_raw(order.model_dump_json().encode())
        events = await desk.answered(order.request_id)

    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["tokenbus"]["tried"][0]["code"] == "overloaded"
    assert called(simulator) == ["plain"]


async def test_work_does_not_wander_for_ever(desk: Desk, start_executor: StartExecutor) -> None:
    async with start_executor(executor_pools="lab"):
        order = desk.order(far(), hop=HOPS_PER_SUBMISSION)
        await desk.send_raw(order.model_dump_json().encode())
        events = await desk.answered(order.request_id)

    assert events[-1]["response"]["error"]["type"] == "target_unavailable"


async def test_a_stop_reaches_work_that_has_moved(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(executor_pools="lab"), start_executor(executor_pools="far", first_event_timeout_s=20.0):
        request_id = await desk.send(desk.order(target("sim-401"), far("sim-silent")))
        async with asyncio.timeout(5):
            await simulator.record.wait_for(lambda exchange: exchange.model == "sim-silent")
        assert await desk.stop(request_id)
        events = await desk.answered(request_id, attempt=ATTEMPTS_PER_HOP + 1)

    assert events[-1]["response"]["status"] == "cancelled"
    await eventually(lambda: simulator.record[1].closed_at is not None)


def test_the_next_hop_keeps_the_request_and_numbers_its_attempts_after_all_of_this_one() -> None:
    order = WorkOrder(
        version=1,
        request_id="r1",
        tenant="acme",
        channel="c",
        priority_class="low",
        accepted_at=1.0,
        deadline=2.0,
        hop=3,
        attempt_base=2 * ATTEMPTS_PER_HOP,
        model="m",
        request={"input": "x"},
        targets=[target(), far()],
        strategy="weighted",
        recovery="fail",
    )
    moved = next_hop(order, targets=[far()])

    assert moved == order.model_copy(
        update={"hop": 4, "attempt_base": 3 * ATTEMPTS_PER_HOP, "targets": [far()], "strategy": "ordered"}
    )


async def test_work_that_is_queued_for_a_provider_that_leaves_the_catalog_ends_all_the_same(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(slots=1):
        busy = await desk.send(desk.order(target("sim;rate=20;tokens=20")))
        await desk.until(busy, lambda lines: len(lines) > 0)
        moves_on = await desk.send(desk.order(far(), target("plain"), priority_class="low"))
        ends = await desk.send(desk.order(far(), priority_class="low"))
        await desk.publish_providers(provider(simulator))
        assert (await desk.answered(busy))[-1]["type"] == "response.completed"
        first, refused = [(await desk.answered(request_id))[-1] for request_id in (moves_on, ends)]

    assert first["response"]["tokenbus"]["provider"] == "lab"
    assert refused["type"] == "response.failed"
    assert refused["response"]["error"]["type"] == "target_unavailable"
    assert "provider remote left the catalog" in refused["response"]["error"]["message"]
