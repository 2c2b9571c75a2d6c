"""A cancel in the phases that lie between upstream calls, and one that races the end."""

import asyncio
import random
import time

import pytest

from tests.executor.conftest import Desk, StartExecutor, target
from tests.executor.test_executor_stops import assert_cancelled, closed
from tests.executor.tool_serving import Serve, asking, serving
from tests.valid_stream import check_stream
from tokenbus.bus import Bus
from tokenbus_simulator import Fault, Script, Simulator
from tokenbus_toolkit import tool

serve = pytest.fixture(serving)


@tool
async def quick() -> str:
    return "quick"


async def test_a_wait_before_a_retry_ends_at_once(desk: Desk, executor: Bus, simulator: Simulator) -> None:
    del executor
    simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=20))
    request_id = await desk.send(desk.order())
    cooldowns = desk.stored.cooldown.to_stream()
    async with asyncio.timeout(20):
        while await desk.bus.last_message_at_leader(cooldowns.name, cooldowns.subjects[0]) is None:
            pass
    stopped_at = time.monotonic()
    assert await desk.stop(request_id)

    assert_cancelled(await desk.answered(request_id))
    assert time.monotonic() - stopped_at < 1
    assert len(simulator.record) == 1
    await desk.nothing_left()


async def test_a_later_attempt_is_stopped_as_the_first_would_be(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        request_id = await desk.send(desk.order(target("sim-silent")))
        async with asyncio.timeout(10):
            await simulator.record.wait_for(lambda exchange: True)
    async with start_executor():
        async with asyncio.timeout(10):
            await simulator.record.wait_for(lambda exchange: exchange.number == 2)
        stopped_at = time.time()
        assert await desk.stop(request_id)
        assert_cancelled(await desk.answered(request_id, attempt=2))
        async with asyncio.timeout(5):
            exchange = await simulator.record.wait_for(lambda each: each.number == 2 and closed(each))
        await desk.nothing_left()
    assert exchange.closed_at is not None
    assert exchange.closed_at - stopped_at < 1


async def test_the_usage_of_the_rounds_before_is_kept(desk: Desk, executor: Bus, serve: Serve) -> None:
    del executor
    await serve(quick)
    script = "sim;tokens=20;rate=100;call=quick({})"
    request_id = await desk.send(desk.order(target(script), request=asking("quick")))
    await desk.until(request_id, lambda lines: any(b'"output_index":3' in line.raw for line in lines), timeout_s=20)
    assert await desk.stop(request_id)
    events = await desk.answered(request_id)

    assert_cancelled(events)
    assert events[-1]["response"]["usage"]["output_tokens"] > 0


async def test_a_cancel_that_races_the_end_leaves_one_of_both(desk: Desk, executor: Bus) -> None:
    del executor
    chance = random.Random(7)
    seen: set[str] = set()
    for _ in range(25):
        request_id = await desk.send(desk.order(target("sim;tokens=4;rate=400")))
        await asyncio.sleep(chance.uniform(0, 0.02))  # the race itself; nothing is waited for
        await desk.stop(request_id, timeout_s=0.05)
        await desk.until(request_id, lambda lines: any(line.is_terminal for line in lines), timeout_s=20)
        events = check_stream(list(desk.live[request_id]))
        stored = await desk.stored_end(request_id)
        assert stored is not None
        assert dict(stored.data) == events[-1]
        seen.add(events[-1]["response"]["status"])
    assert seen <= {"completed", "cancelled"}
    await desk.nothing_left()
