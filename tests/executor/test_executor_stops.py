"""A stop ends the answer as cancelled and closes the provider's connection within a second, in every phase."""

import asyncio
import time

import pytest

from tests.conftest import StartNatsServer
from tests.executor.conftest import BOTH_APIS, POOL, TENANT, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.valid_stream import Json
from tokenbus.bus import Bus
from tokenbus_chassis.topology import topology
from tokenbus_schemas import RequestId
from tokenbus_simulator import Exchange, Simulator

PHASES = {
    "before the head of the answer": "sim-silent",
    "before the first event": "sim-headers",
    "after the opening events": "sim-stall",
    "between keep-alives": "sim-comments;repeat=20",
    "while tokens come": "sim;rate=50;tokens=500",
    "in a silence": "sim-stall;after=5",
}


def closed(exchange: Exchange) -> bool:
    return exchange.closed_at is not None


def assert_cancelled(events: list[Json]) -> None:
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["status"] == "cancelled"


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("phase", PHASES)
async def test_a_stop_closes_the_connection_within_a_second(
    desk: Desk, executor: Bus, simulator: Simulator, phase: str, api: str
) -> None:
    del executor
    request_id = await desk.send(desk.order(target(PHASES[phase], api=api)))
    async with asyncio.timeout(5):
        await simulator.record.wait_for(lambda exchange: True)
    if "tokens" in phase or "silence" in phase:
        await desk.until(request_id, lambda lines: any(line.type.endswith(".delta") for line in lines))
    stopped_at = time.time()
    assert await desk.stop(request_id)

    events = await desk.answered(request_id)
    assert_cancelled(events)
    output = events[-1]["response"]["output"]
    assert (output[0]["content"][0]["text"] if output else "") == text_of(events)
    async with asyncio.timeout(1):
        exchange = await simulator.record.wait_for(closed)
    assert exchange.closed_at is not None
    assert exchange.closed_at - stopped_at < 1
    await desk.nothing_left()


async def test_a_stop_that_comes_before_its_work_is_remembered(desk: Desk, executor: Bus, simulator: Simulator) -> None:
    del executor
    order = desk.order()
    assert not await desk.stop(order.request_id, timeout_s=0.05)
    await desk.send(order)

    assert_cancelled(await desk.answered(order.request_id))
    assert len(simulator.record) == 0


async def test_a_request_that_was_cancelled_before_the_executor_listened_is_not_begun(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    request_id = await desk.send(desk.order())
    await desk.mark(request_id)
    async with start_executor():
        assert_cancelled(await desk.answered(request_id))
    assert len(simulator.record) == 0


async def test_the_mark_of_a_request_whose_stop_would_have_been_heard_is_not_looked_up(
    desk: Desk, executor: Bus
) -> None:
    del executor
    order = desk.order(accepted_at=time.time() + 10)
    await desk.mark(order.request_id)
    await desk.send(order)

    assert (await desk.answered(order.request_id))[-1]["type"] == "response.completed"


async def test_what_was_cancelled_while_the_bus_was_away_is_stopped_afterwards(
    start_nats_server: StartNatsServer, start_executor: StartExecutor, simulator: Simulator
) -> None:
    server = start_nats_server()
    async with Bus.connect(server.url, name="tests") as bus:
        desk = Desk(bus, stored=topology("away", pools=[POOL]))
        await desk.open()
        await desk.publish_providers(provider(simulator))
        async with start_executor(nats_url=server.url, root="away", ack_wait_s=15.0):
            request_id = await desk.send(desk.order(target("sim;rate=20;tokens=500")))
            await desk.until(request_id, lambda lines: any(line.type.endswith(".delta") for line in lines))
            await desk.mark(request_id)
            server.kill()
            server.start()
            async with asyncio.timeout(10):
                await simulator.record.wait_for(closed)
                while (end := await desk.stored_end_when_up(request_id)) is None:
                    pass
    assert end.data["response"]["status"] == "cancelled"


async def test_stops_of_other_requests_change_nothing(desk: Desk, executor: Bus) -> None:
    del executor
    request_id = await desk.send(desk.order(target("sim;rate=100;tokens=20")))
    for _ in range(20):
        await desk.bus.publish(desk.subjects.stop(TENANT, RequestId("another")), b"")

    assert (await desk.answered(request_id))[-1]["type"] == "response.completed"
