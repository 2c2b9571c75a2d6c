"""A request that ends while its tools run: they are stopped, and every call has exactly one output."""

import asyncio
from collections import Counter

import pytest

from tests.executor.conftest import BOTH_APIS, Desk, StartExecutor, target
from tests.executor.tool_serving import Serve, asking, kinds, outputs, serving
from tokenbus.bus import Bus
from tokenbus_toolkit import tool

serve = pytest.fixture(serving)


class Waiting:
    """A tool that waits until it is let go, and notes what becomes of it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.go = asyncio.Event()
        self.effects = Counter[str]()

        @tool
        async def wait(note: str = "") -> str:
            self.started.set()
            try:
                async with asyncio.timeout(10):
                    await self.go.wait()
            except asyncio.CancelledError:
                self.stopped.set()
                raise
            self.effects[note] += 1
            return f"waited {note}"

        self.tool = wait


@tool
async def quick() -> str:
    return "quick"


async def within(seconds: float, event: asyncio.Event) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_a_cancel_stops_the_running_tools_and_leaves_no_loose_end(
    desk: Desk, executor: Bus, serve: Serve, api: str
) -> None:
    del executor
    waiting = Waiting()
    await serve(quick, waiting.tool)
    script = "sim;call=quick({});call=wait({});call=quick({});call=mine({})"
    request_id = await desk.send(desk.order(target(script, api=api), request=asking("quick", "wait", "mine")))
    await within(5, waiting.started)
    await desk.until(request_id, lambda lines: any(b"function_call_output" in line.raw for line in lines))
    assert await desk.stop(request_id)
    await desk.until(request_id, lambda lines: lines[-1].is_terminal, timeout_s=1)
    events = await desk.answered(request_id)

    assert events[-1]["response"]["status"] == "cancelled"
    said = outputs(events)
    assert (said[0], said[-1] if len(said) == 3 else "quick") == ("quick", "quick")
    assert said[1] == (
        "The request was cancelled before this call had a result. It may have taken effect, in part or in whole."
    )
    await within(2, waiting.stopped)
    await desk.nothing_left()


async def test_the_deadline_ends_the_tools_with_the_request(desk: Desk, executor: Bus, serve: Serve) -> None:
    del executor
    waiting = Waiting()
    await serve(waiting.tool)
    order = desk.order(target("sim;call=wait({})"), request=asking("wait"), timeout_s=0.5)
    events = await desk.answered(await desk.send(order))

    assert events[-1]["response"]["error"]["type"] == "deadline_exceeded"
    assert kinds(events) == ["function_call", "function_call_output"]
    assert "time was up" in outputs(events)[0]
    await within(3, waiting.stopped)


async def test_a_shutdown_stops_no_tool_and_the_next_executor_gets_its_output(
    desk: Desk, start_executor: StartExecutor, serve: Serve
) -> None:
    waiting = Waiting()
    await serve(waiting.tool)
    async with start_executor():
        request_id = await desk.send(desk.order(target('sim;call=wait({"note":"a"})'), request=asking("wait")))
        await within(5, waiting.started)
    async with start_executor():
        await desk.until(request_id, lambda lines: not waiting.stopped.is_set() and bool(lines))
        waiting.go.set()
        await desk.until(request_id, lambda lines: any(line.is_terminal for line in lines))

    last = desk.live[request_id][-1].data["response"]
    assert (last["status"], last["tokenbus"]["attempt"]) == ("completed", 2)
    assert [item["type"] for item in last["output"]] == ["function_call", "function_call_output", "message"]
    assert (waiting.effects["a"], waiting.stopped.is_set()) == (1, False)


async def test_a_cancel_between_rounds_leaves_what_was_said(desk: Desk, executor: Bus, serve: Serve) -> None:
    del executor
    await serve(quick)
    script = "sim;tokens=20;rate=100;call=quick({})"
    request_id = await desk.send(desk.order(target(script), request=asking("quick")))
    await desk.until(request_id, lambda lines: any(b'"output_index":3' in line.raw for line in lines))
    assert await desk.stop(request_id)
    events = await desk.answered(request_id)

    assert events[-1]["response"]["status"] == "cancelled"
    assert kinds(events) == ["message", "function_call", "function_call_output", "message"]
