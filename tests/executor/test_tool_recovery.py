"""An executor dies while tools are to run, run, or have run: the next attempt goes on, and nothing happens twice."""

import asyncio
from collections import Counter

import pytest

from tests.executor.attempts import (
    DiesAfter,
    DiesBefore,
    attempt,
    checkpoints,
    dying,
    reaching,
    surroundings,
    told,
)
from tests.executor.conftest import TENANT, Desk, provider, target
from tests.executor.tool_serving import Serve, asking, kinds, outputs, serving
from tests.toolkit.conftest import hosted
from tokenbus_chassis.terminal import OvertakenError
from tokenbus_executor.surroundings import Surroundings
from tokenbus_executor.tool_checkpoints import Checkpoint
from tokenbus_executor.tool_reach import ToolReach
from tokenbus_schemas import ProviderTable, RequestId, WorkOrder
from tokenbus_schemas.tools import ToolCall
from tokenbus_simulator import Simulator
from tokenbus_toolkit import tool

serve = pytest.fixture(serving)
around = pytest.fixture(surroundings)


class Effects:
    """A tool with an effect, which waits for `go` before and after it."""

    def __init__(self) -> None:
        self.seen = Counter[str]()
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

        @tool
        async def once(note: str = "") -> str:
            self.started.set()
            await self.go.wait()
            self.seen[note] += 1
            return f"done {note}"

        self.tool = once


ONCE = 'sim;call=once({"note":"a"})'


async def test_an_executor_that_dies_before_it_sends_the_calls_leaves_them_to_the_next(
    desk: Desk, around: Surroundings, serve: Serve, simulator: Simulator
) -> None:
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(ONCE), request=asking("once"))
    async with dying(order, reaching(around, DiesBefore)):
        await checkpoints(around, order)
    await attempt(order, around)

    events = await told(desk, order)
    assert kinds(events) == ["function_call", "function_call_output", "message"]
    assert events[-1]["type"] == "response.completed"
    assert effects.seen["a"] == 1
    assert len(simulator.record) == 2


async def test_an_executor_that_dies_while_a_tool_runs_leaves_it_running(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    effects = Effects()
    effects.go.clear()
    await serve(effects.tool)
    order = desk.order(target(ONCE), request=asking("once"))
    async with dying(order, around):
        await effects.started.wait()
    async with asyncio.TaskGroup() as group:
        group.create_task(attempt(order, around))
        effects.go.set()

    assert outputs(await told(desk, order)) == ["done a"]
    assert effects.seen["a"] == 1


async def test_an_executor_that_dies_with_an_unpublished_output_leaves_it_in_the_journal(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(ONCE), request=asking("once"))
    had = asyncio.Event()
    async with dying(order, reaching(around, DiesAfter, had=had)):
        await had.wait()
    await attempt(order, around)

    assert outputs(await told(desk, order)) == ["done a"]
    assert effects.seen["a"] == 1


async def test_outputs_that_were_published_are_not_published_again(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    effects = Effects()
    effects.go.clear()

    @tool
    async def quick() -> str:
        return "quick"

    await serve(effects.tool, quick)
    order = desk.order(target("sim;call=quick({});call=once({});call=quick({})"), request=asking("once", "quick"))
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: b"quick" in lines[-1].raw if lines else False)
        await desk.until(order.request_id, lambda lines: sum(b'"output":"quick"' in line.raw for line in lines) == 1)
    effects.go.set()
    await attempt(order, around)

    assert outputs(await told(desk, order)) == ["quick", "done ", "quick"]
    assert sum(effects.seen.values()) == 1


async def test_an_executor_that_dies_before_the_next_round_speaks_leaves_the_outputs(
    desk: Desk, around: Surroundings, serve: Serve, simulator: Simulator
) -> None:
    effects = Effects()
    await serve(effects.tool)
    asked_again = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked_again.set()
        await reader.read()
        writer.close()

    @tool
    async def mute() -> str:
        around.providers.replace(ProviderTable(providers=[silent]).model_dump_json().encode())
        return "muted"

    await serve(mute, service="mute")
    order = desk.order(target("sim;call=once({});call=mute({})"), request=asking("once", "mute"))
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        silent = provider(simulator, base_url=f"http://127.0.0.1:{port}/v1")
        async with dying(order, around):
            await asked_again.wait()
        around.providers.replace(ProviderTable(providers=[provider(simulator)]).model_dump_json().encode())
        await attempt(order, around)

    events = await told(desk, order)
    assert outputs(events) == ["done ", "muted"]
    assert kinds(events)[-1] == "message"
    assert sum(effects.seen.values()) == 1


async def test_an_executor_that_dies_in_a_later_round_ends_the_answer_as_lost(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(f"{ONCE};tokens=30;rate=200"), request=asking("once"))
    async with dying(order, around):
        await desk.until(
            order.request_id,
            lambda lines: any(b'"output_index":3' in line.raw and b"delta" in line.raw for line in lines),
        )
    await attempt(order, around)

    await desk.until(order.request_id, lambda lines: lines[-1].is_terminal)
    end = desk.live[order.request_id][-1]
    assert end.data["response"]["error"]["type"] == "executor_lost"
    assert effects.seen["a"] == 1


async def test_a_second_death_in_the_same_round_changes_nothing(desk: Desk, around: Surroundings, serve: Serve) -> None:
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(f"{ONCE};rounds=2"), request=asking("once"))
    async with dying(order, reaching(around, DiesBefore)):
        await checkpoints(around, order)
    had = asyncio.Event()
    async with dying(order, reaching(around, DiesAfter, had=had), attempt=2):
        await had.wait()
    await attempt(order, around, number=3)

    assert outputs(await told(desk, order)) == ["done a", "done a"]
    assert effects.seen["a"] == 2
    assert len(await checkpoints(around, order)) == 2


async def test_usage_and_named_tools_outlive_the_executor(desk: Desk, around: Surroundings, nats_url: str) -> None:
    effects = Effects()
    named = {"input": "Go on.", "tools": [{"type": "function", "name": "once"}]}
    whole, cut = (desk.order(target(ONCE), request=named) for _ in range(2))
    async with hosted(nats_url, effects.tool, root=desk.subjects.root):
        await attempt(whole, around, number=1)
        async with dying(cut, reaching(around, DiesBefore)):
            await checkpoints(around, cut)
    async with hosted(nats_url, effects.tool, root=desk.subjects.root, service="later"):
        await attempt(cut, around)

    first, second = await told(desk, whole), await told(desk, cut)
    assert second[-1]["response"]["usage"]["total_tokens"] == first[-1]["response"]["usage"]["total_tokens"] > 0
    assert second[-1]["response"]["tools"] == first[-1]["response"]["tools"]


async def test_a_call_that_may_have_run_is_never_left_to_the_client(
    desk: Desk, around: Surroundings, nats_url: str
) -> None:
    effects = Effects()
    order = desk.order(target(ONCE), request=asking("once"))
    had = asyncio.Event()
    async with (
        hosted(nats_url, effects.tool, root=desk.subjects.root),
        dying(order, reaching(around, DiesAfter, had=had)),
    ):
        await had.wait()
    await attempt(order, reaching(around, ToolReach, abandoned_s=0.2))

    events = await told(desk, order)
    assert kinds(events) == ["function_call", "function_call_output", "message"]
    assert outputs(events)[0].startswith("The outcome of this call is unknown: ")
    assert effects.seen["a"] == 1


async def test_a_call_that_never_ran_is_left_to_the_client_when_nobody_serves_it_any_more(
    desk: Desk, around: Surroundings, nats_url: str
) -> None:
    effects = Effects()
    order = desk.order(target(ONCE), request=asking("once"))
    async with hosted(nats_url, effects.tool, root=desk.subjects.root), dying(order, reaching(around, DiesBefore)):
        await checkpoints(around, order)
    await attempt(order, around)

    assert kinds(await told(desk, order)) == ["function_call"]
    assert effects.seen["a"] == 0


async def write(around: Surroundings, order: WorkOrder, *, attempt: int) -> None:
    """A checkpoint of the first round, with a call of its own."""
    call = {"type": "function_call", "id": "fc_x", "call_id": "call_x", "name": "once", "arguments": '{"note":"x"}'}
    said = [{**call, "status": "completed"}]
    checkpoint = Checkpoint(
        attempt=attempt, round=0, published=0, target=order.targets[0], outputs=[], said=said, usage=None
    )
    await around.tools.checkpoints.keep(checkpoint, tenant=TENANT, request_id=RequestId(order.request_id), ttl_s=30)


async def test_an_attempt_that_finds_a_later_ones_checkpoint_stops(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(ONCE), request=asking("once"))
    await write(around, order, attempt=2)
    with pytest.raises(OvertakenError):
        await attempt(order, around, number=1)

    assert sum(effects.seen.values()) == 0


async def test_an_attempt_adopts_the_calls_that_an_earlier_one_has_sent(
    desk: Desk, around: Surroundings, serve: Serve, simulator: Simulator
) -> None:
    """The earlier one stood still for so long that it was taken for dead, and wakes up in between."""
    effects = Effects()
    await serve(effects.tool)
    order = desk.order(target(f"{ONCE};ttft=300"), request=asking("once"))
    call = ToolCall(
        tenant=TENANT,
        request_id=order.request_id,
        round=0,
        index=0,
        call_id="call_x",
        name="once",
        arguments='{"note":"x"}',
        deadline=order.deadline,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(attempt(order, around))
        async with asyncio.timeout(5):
            await simulator.record.wait_for(lambda exchange: True)
        await write(around, order, attempt=1)
        await around.tools.reach.call(call, timeout_s=5, on_progress=lambda _: None, sent_before=False)

    events = await told(desk, order)
    assert kinds(events) == [*("function_call", "function_call_output") * 2, "message"]
    assert outputs(events)[0].startswith("This call was not run: ")
    assert outputs(events)[1] == "done x"
    assert dict(effects.seen) == {"x": 1}


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_a_request_that_ended_between_two_attempts_leaves_no_loose_end(
    desk: Desk, around: Surroundings, serve: Serve, end: str
) -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    @tool
    async def once() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await serve(once)
    order = desk.order(target("sim;call=once({})"), request=asking("once"))
    async with dying(order, around):
        await started.wait()
    if end == "cancelled":
        await desk.mark(order.request_id)
        await attempt(order, around)
    else:
        await attempt(order.model_copy(update={"deadline": order.accepted_at}), around)

    events = await told(desk, order)
    assert kinds(events) == ["function_call", "function_call_output"]
    assert outputs(events)[0].endswith("It may have taken effect, in part or in whole.")
    async with asyncio.timeout(5):
        await stopped.wait()
