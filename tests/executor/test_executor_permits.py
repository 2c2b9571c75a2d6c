"""A provider with a limit: never more calls at once, over all executors, and nobody else waits for those that wait."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.executor.conftest import ACK_WAIT_S, Desk, StartExecutor, provider, target
from tests.executor.tool_serving import Serve, asking, serving
from tokenbus_schemas import Pool, PriorityClass, Target
from tokenbus_simulator import Fault, Script, Simulator
from tokenbus_toolkit import tool

serve = pytest.fixture(serving)
pytestmark = pytest.mark.timeout(90)

LONG = "sim;rate=10;tokens=600"
SHORT = "sim;rate=200;tokens=30"
FREE = Pool("free")
NOTED_LATE_S = 0.02
"""The simulator notes an end a moment after its reader has it."""


def most_at_once(simulator: Simulator) -> int:
    """Calls that were under way together."""
    now = time.time()
    turns: list[tuple[float, int]] = []
    for exchange in simulator.record:
        ended_at = exchange.finished_at or exchange.closed_at or now
        turns += [(exchange.received_at, 1), (max(exchange.received_at, ended_at - NOTED_LATE_S), -1)]
    most = running = 0
    for _, change in sorted(turns):
        running += change
        most = max(most, running)
    return most


def free_target(model: str = "sim") -> Target:
    return target(model, provider="free", pool=FREE)


@pytest.fixture
async def limited(desk: Desk, simulator: Simulator) -> Desk:
    """Provider `lab` answers one request at once; provider `free` has no limit."""
    await allow(desk, simulator, 1)
    return desk


async def allow(desk: Desk, simulator: Simulator, limit: int | None) -> None:
    await desk.publish_providers(provider(simulator, max_concurrent=limit), provider(simulator, name="free", pool=FREE))


async def occupy(desk: Desk) -> str:
    """A long answer of `lab` has begun."""
    request_id = await desk.send(desk.order(target(LONG), timeout_s=120))
    await desk.until(request_id, bool, timeout_s=20)
    return request_id


@asynccontextmanager
async def two(start_executor: StartExecutor, **changes: Any) -> AsyncGenerator[None]:
    async with AsyncExitStack() as exits:
        for _ in range(2):
            await exits.enter_async_context(start_executor(**changes))
        yield


@pytest.mark.parametrize(("limit", "slots"), [(1, 4), (3, 2), (3, 8), (8, 100)])
async def test_a_provider_never_gets_more_calls_at_once_than_it_may_and_all_end(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator, limit: int, slots: int
) -> None:
    await allow(desk, simulator, limit)
    async with two(start_executor, slots=slots, ack_wait_s=15.0, connect_timeout_s=20.0):
        classes: list[PriorityClass] = ["priority", "standard", "low"]
        orders = [desk.order(target(SHORT), priority_class=classes[number % 3]) for number in range(8 * limit)]
        for order in orders:
            await desk.send(order)
        for order in orders:
            events = await desk.answered(order.request_id)
            assert events[-1]["type"] == "response.completed", events[-1]["response"]["error"]
        assert most_at_once(simulator) == min(limit, 2 * slots)


async def test_requests_that_wait_for_a_provider_let_those_of_others_pass(
    limited: Desk, start_executor: StartExecutor
) -> None:
    async with two(start_executor, slots=8):
        await occupy(limited)
        waiting = [await limited.send(limited.order(target("sim"), timeout_s=120)) for _ in range(40)]
        for _ in range(10):
            events = await limited.answered(await limited.send(limited.order(free_target())))
            assert events[-1]["type"] == "response.completed"
        assert not any(limited.live[request_id] for request_id in waiting)


async def test_a_request_whose_time_is_over_while_it_waits_never_reaches_the_provider(
    limited: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        await occupy(limited)
        events = await limited.ask("too late", timeout_s=1.0)
        assert events[-1]["response"]["error"]["type"] == "deadline_exceeded"
        assert [exchange.model for exchange in simulator.record] == [LONG]


async def test_a_request_that_waits_can_be_cancelled(
    limited: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        first = await occupy(limited)
        request_id = await limited.send(limited.order(target("cancelled")))
        await eventually_stopped(limited, request_id)
        events = await limited.answered(request_id)
        assert events[-1]["response"]["status"] == "cancelled"

        await limited.stop(first)
        assert (await limited.ask("next"))[-1]["type"] == "response.completed"
        assert [exchange.model for exchange in simulator.record] == [LONG, "next"]


async def eventually_stopped(desk: Desk, request_id: str) -> None:
    async with asyncio.timeout(20):
        while not await desk.stop(request_id):
            pass


async def test_a_limit_that_is_taken_away_lets_all_pass_that_wait(
    limited: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        await occupy(limited)
        waiting = [await limited.send(limited.order(target("sim"))) for _ in range(5)]
        await allow(limited, simulator, None)
        for request_id in waiting:
            assert (await limited.answered(request_id))[-1]["type"] == "response.completed"


async def test_an_executor_that_ends_gives_its_permits_back_at_once(
    limited: Desk, start_executor: StartExecutor
) -> None:
    async with start_executor(ack_wait_s=60.0):
        await occupy(limited)
    async with start_executor():
        order = limited.order(target("sim"), priority_class="priority")
        assert (await limited.answered(await limited.send(order)))[-1]["type"] == "response.completed"


async def test_a_killed_executor_s_permit_is_free_after_its_lease(
    limited: Desk, start_executor: StartExecutor, nats_url: str, root: str, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("dying_executor.py")
    arguments = [str(script), nats_url, root, str(ACK_WAIT_S), str(tmp_path), str(int(signal.SIGKILL))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    victim = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert victim.stdout is not None
    async with asyncio.timeout(30):
        await victim.stdout.readline()
    await occupy(limited)
    async with start_executor():
        request_id = await limited.send(limited.order(target("sim"), priority_class="priority"))
        victim.kill()
        killed = time.monotonic()
        await victim.wait()
        assert (await limited.answered(request_id, timeout_s=40))[-1]["type"] == "response.completed"
        assert time.monotonic() - killed < ACK_WAIT_S + 10


async def test_work_that_failed_elsewhere_waits_in_the_limited_provider_s_queue(
    limited: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        first = await occupy(limited)
        simulator.then(Script(fault=Fault.SERVER_ERROR))
        order = limited.order(free_target("broken"), target("sim"))
        await limited.send(order)
        await eventually(lambda: len(simulator.record) == 2)
        await limited.stop(first)
        events = await limited.answered(order.request_id, attempt=101)
        assert events[-1]["response"]["tokenbus"]["provider"] == "lab"


async def test_a_provider_without_a_limit_has_no_permits(desk: Desk, start_executor: StartExecutor) -> None:
    async with start_executor():
        await desk.ask()
        assert await desk.bus.last_message_at_leader(f"KV_{desk.stored.permits.name}", "$KV.>") is None


async def test_an_answer_keeps_its_permit_while_its_tools_run(
    limited: Desk, start_executor: StartExecutor, simulator: Simulator, serve: Serve
) -> None:
    runs, may_end = asyncio.Event(), asyncio.Event()

    @tool
    async def slow() -> str:
        runs.set()
        await may_end.wait()
        return "done"

    await serve(slow)
    async with start_executor():
        first = await limited.send(limited.order(target("sim;call=slow({})"), request=asking("slow")))
        async with asyncio.timeout(20):
            await runs.wait()
        second = await limited.send(limited.order(target("second")))
        may_end.set()
        await limited.answered(first)
        await limited.answered(second)
        assert [exchange.model for exchange in simulator.record][1:] == ["sim;call=slow({})", "second"]
