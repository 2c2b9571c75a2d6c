"""Work that is delivered again and again: what breaks its executor each time ends, what a restart hands back not."""

import pytest

from tests.executor.conftest import POOL, TENANT, Desk, StartExecutor, target
from tests.executor.test_executor_process import executor as executor_process
from tests.wear import wear
from tokenbus.bus import Bus
from tokenbus_schemas import WorkOrder
from tokenbus_schemas.headers import CHANNEL
from tokenbus_simulator import Simulator


async def put(desk: Desk, order: WorkOrder) -> str:
    """Work as the router publishes it, with headers."""
    await desk.bus.publish_stored(
        desk.subjects.work(POOL, "standard", TENANT),
        order.model_dump_json().encode(),
        headers={CHANNEL: order.channel},
        message_id=f"{order.tenant}.{order.request_id}.{order.hop}",
    )
    return order.request_id


async def worn(desk: Desk, *, times: int) -> None:
    await wear(desk.bus, desk.stored.work_consumer(POOL, "standard"), times=times)


async def test_work_that_was_taken_up_too_often_ends_and_reaches_no_provider(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    request_id = await put(desk, desk.order())
    await worn(desk, times=2)
    async with start_executor(max_deliveries=2):
        events = await desk.answered(request_id, attempt=3)
        await desk.nothing_left()

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["type"] == "attempts_exhausted"
    assert list(simulator.record) == []
    dead = await desk.bus.last_message(desk.stored.dead.name, desk.subjects.dead("work"))
    assert dead is not None
    assert dead.headers["Tokenbus-Reason"].startswith("attempts_exhausted: ")
    assert WorkOrder.model_validate_json(dead.data).request_id == request_id


async def test_worn_out_work_is_not_decoded(desk: Desk, start_executor: StartExecutor) -> None:
    message_id, headers = f"{TENANT}.r1.1", {CHANNEL: "desk"}
    subject = desk.subjects.work(POOL, "standard", TENANT)
    await desk.bus.publish_stored(subject, b"kills whoever reads it", headers=headers, message_id=message_id)
    await worn(desk, times=1)
    async with start_executor(max_deliveries=1):
        events = await desk.answered("r1", attempt=2)
    assert events[-1]["response"]["error"]["type"] == "attempts_exhausted"


async def test_work_that_had_ended_is_only_buried(desk: Desk, start_executor: StartExecutor) -> None:
    async with start_executor():
        order = desk.order()
        request_id = await put(desk, order)
        await desk.answered(request_id)
        await desk.nothing_left()
        end = await desk.stored_end(request_id)
    desk.live.clear()
    await desk.send(order)
    await worn(desk, times=1)
    async with start_executor(max_deliveries=1):
        await desk.nothing_left()
    assert await desk.stored_end(request_id) == end


async def test_restarts_do_not_wear_a_request_out(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    request_id = await put(desk, desk.order(target("sim;ttft=1500")))
    for number in range(1, 4):
        async with start_executor(max_deliveries=1):
            await simulator.record.wait_for(lambda exchange, number=number: exchange.number == number)
    async with start_executor(max_deliveries=1):
        events = await desk.answered(request_id, attempt=4, timeout_s=20)
    assert events[-1]["type"] == "response.completed"


async def test_a_killed_process_counts(desk: Desk, nats_url: str, root: str, simulator: Simulator) -> None:
    async with executor_process(nats_url, root) as first:
        request_id = await put(desk, desk.order(target("sim;ttft=60000")))
        await simulator.record.wait_for(lambda exchange: True)
        first.kill()
    async with executor_process(nats_url, root, TOKENBUS_MAX_DELIVERIES="1"):
        events = await desk.answered(request_id, attempt=2, timeout_s=20)
    assert events[-1]["response"]["error"]["type"] == "attempts_exhausted"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"tenant":"acme","request_id":"r1","channel":"desk"}',
        b'{"version":7,"tenant":"acme","request_id":"r1","channel":"desk","hop":"x","model":5}',
    ],
)
async def test_a_request_whose_work_can_not_be_read_ends_all_the_same(
    desk: Desk, executor: Bus, payload: bytes
) -> None:
    del executor
    await desk.send_raw(payload)
    events = await desk.answered("r1")
    await desk.nothing_left()
    assert events[-1]["response"]["error"]["type"] == "internal_error"
