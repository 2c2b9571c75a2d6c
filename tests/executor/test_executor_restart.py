"""Recovery `restart`: what breaks after its first event is said anew, once, behind an event that voids the rest."""

import asyncio

import pytest

from tests.executor.attempts import attempt, dying, surroundings, told
from tests.executor.conftest import BOTH_APIS, POOL, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.executor.test_executor_redelivery import publish_some
from tests.executor.tool_serving import Serve, asking, kinds, outputs, serving
from tests.valid_stream import Json
from tokenbus.bus import Bus
from tokenbus_executor.surroundings import Surroundings
from tokenbus_schemas import ATTEMPT_STRIDE, EventLine, Pool
from tokenbus_schemas.vocabulary import REWOUND
from tokenbus_simulator import Call, Fault, Script, Simulator
from tokenbus_toolkit import tool

serve = pytest.fixture(serving)
around = pytest.fixture(surroundings)

SLOW = "sim;rate=100;tokens=40"


def deltas(lines: list[EventLine]) -> int:
    return sum(line.type == "response.output_text.delta" for line in lines)


def deltas_of_last_round(lines: list[EventLine]) -> int:
    """Those behind the output of a tool."""
    place = max(
        (place for place, line in enumerate(lines) if b'"function_call_output"' in line.raw), default=len(lines)
    )
    return deltas(lines[place:])


def final_text(events: list[Json]) -> str:
    output: list[Json] = events[-1]["response"]["output"]
    return "".join(part["text"] for item in output for part in item.get("content", []))


def rewinds(events: list[Json]) -> list[tuple[int, int]]:
    return [(event["attempt"], event["output_index"]) for event in events if event["type"] == REWOUND]


def text_after_the_last_rewind(events: list[Json]) -> str:
    last = max(place for place, event in enumerate(events) if event["type"] == REWOUND)
    return text_of(events[last:])


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("count", [1, 2, 9])
async def test_an_answer_whose_executor_dies_is_said_anew_by_the_next(
    desk: Desk, around: Surroundings, api: str, count: int
) -> None:
    order = desk.order(target(SLOW, api=api), recovery="restart")
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= count)
    await attempt(order, around)

    events = await told(desk, order)
    assert events[-1]["type"] == "response.completed"
    assert rewinds(events) == [(2, 0)]
    assert text_after_the_last_rewind(events) == final_text(events) != ""
    assert desk.live[order.request_id][-1].attempt == 2


async def test_an_answer_that_is_lost_twice_is_said_a_third_time(desk: Desk, around: Surroundings) -> None:
    order = desk.order(target(SLOW), recovery="restart")
    for number in (1, 2):
        before = deltas(desk.live[order.request_id])
        async with dying(order, around, attempt=number):
            await desk.until(order.request_id, lambda lines, seen=before: deltas([*lines]) >= seen + 3)
    await attempt(order, around, number=3)

    events = await told(desk, order)
    assert rewinds(events) == [(2, 0), (3, 0)]
    assert text_after_the_last_rewind(events) == final_text(events)


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.RESET, Fault.EOF, Fault.ERROR])
@pytest.mark.parametrize("after", [1, 8])
async def test_an_answer_whose_upstream_breaks_is_said_anew_in_the_same_attempt(
    desk: Desk, executor: Bus, simulator: Simulator, api: str, fault: Fault, after: int
) -> None:
    del executor
    simulator.then(Script(tokens=20, tokens_per_s=500, fault=fault, after=after))
    order = desk.order(target("plain", api=api), target("other", api=api), recovery="restart")
    events = await desk.answered(await desk.send(order))

    assert events[-1]["type"] == "response.completed"
    assert rewinds(events) == [(1, 0)]
    assert text_after_the_last_rewind(events) == final_text(events)
    assert [one["model"] for one in events[-1]["response"]["tokenbus"]["tried"]] == ["plain"]
    assert [exchange.model for exchange in simulator.record] == ["plain", "other"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_an_upstream_that_breaks_each_time_is_given_up_and_what_came_last_is_kept(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    events = await desk.ask("sim;tokens=20;rate=500;fault=cut;after=3", recovery="restart")

    assert events[-1]["response"]["error"]["type"] == "upstream_cut"
    assert rewinds(events) == [(1, 0), (1, 0)]
    assert text_after_the_last_rewind(events) == final_text(events) != ""
    assert len(simulator.record) == 3


async def test_what_came_is_kept_where_no_other_target_says_anything(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    simulator.then(Script(tokens=20, tokens_per_s=500, fault=Fault.CUT, after=3))
    order = desk.order(target("plain"), target("sim-400"), recovery="restart")
    events = await desk.answered(await desk.send(order))

    assert events[-1]["type"] == "response.failed"
    assert rewinds(events) == []
    assert text_of(events) == final_text(events) != ""


@pytest.mark.parametrize("recovery", ["resume", "fail"])
async def test_nothing_is_said_anew_unasked(desk: Desk, executor: Bus, simulator: Simulator, recovery: str) -> None:
    del executor
    events = await desk.ask("sim;tokens=20;rate=500;fault=cut;after=3", recovery=recovery, api="chat_completions")

    assert events[-1]["response"]["error"]["type"] == "upstream_cut"
    assert text_of(events) == final_text(events) != ""
    assert len(simulator.record) == 1


async def test_all_choices_are_said_anew(desk: Desk, around: Surroundings) -> None:
    order = desk.order(target(SLOW, api="chat_completions"), request={"input": "Hello.", "n": 3}, recovery="restart")
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 7)
    await attempt(order, around)

    events = await told(desk, order)
    assert rewinds(events) == [(2, 0)]
    assert kinds(events) == ["message"] * 3


async def test_provider_tools_are_called_anew(desk: Desk, around: Surroundings) -> None:
    request = {"input": "Search.", "tools": [{"type": "web_search"}]}
    order = desk.order(target(f"{SLOW};provider_call=web_search"), request=request, recovery="restart")
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 2)
    await attempt(order, around)

    events = await told(desk, order)
    assert rewinds(events) == [(2, 0)]
    assert "web_search_call" in kinds(events)


async def test_a_shutdown_within_a_stream_hands_it_to_the_next_executor_which_says_it_anew(
    desk: Desk, start_executor: StartExecutor
) -> None:
    async with start_executor():
        request_id = await desk.send(desk.order(target(SLOW), recovery="restart"))
        await desk.until(request_id, lambda lines: deltas([*lines]) >= 3)
    async with start_executor():
        events = await desk.answered(request_id, attempt=2)

    assert rewinds(events) == [(2, 0)]
    assert text_after_the_last_rewind(events) == final_text(events)


async def test_an_answer_moves_to_the_other_pool_that_can_say_it_anew(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    far = Pool("far")
    await desk.publish_providers(provider(simulator), provider(simulator, name="far", pool=far))
    async with start_executor(executor_pools=POOL), start_executor(executor_pools=far):
        simulator.then(Script(tokens=20, tokens_per_s=500, fault=Fault.CUT, after=4))
        order = desk.order(target("plain"), target("plain", provider="far", pool=far), recovery="restart")
        events = await desk.answered(await desk.send(order), attempt=101)

    assert events[-1]["type"] == "response.completed"
    assert rewinds(events) == [(101, 0)]
    assert events[-1]["response"]["tokenbus"]["provider"] == "far"
    assert text_after_the_last_rewind(events) == final_text(events)


async def test_a_rewound_answer_that_is_cancelled_before_anything_new_keeps_the_old(
    desk: Desk, around: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target("plain"), attempt_base=1, recovery="restart")
    await publish_some(desk, order)
    simulator.then(Script(fault=Fault.SILENT))
    async with asyncio.TaskGroup() as group:
        group.create_task(attempt(order, around))
        async with asyncio.timeout(5):
            await simulator.record.wait_for(lambda exchange: True)
        await desk.stop(order.request_id)

    events = await told(desk, order)
    assert events[-1]["response"]["status"] == "cancelled"
    assert final_text(events) == "Once upon"
    assert events[-1]["sequence_number"] > 0


class Counted:
    """A tool with an effect."""

    def __init__(self) -> None:
        self.calls = 0

        @tool
        async def once(note: str = "") -> str:
            self.calls += 1
            return f"done {note}"

        self.tool = once


ONCE = 'sim;call=once({"note":"a"});tokens=30;rate=200'


async def test_a_later_round_is_said_anew_and_its_tools_stay_done(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    counted = Counted()
    await serve(counted.tool)
    order = desk.order(target(ONCE), request=asking("once"), recovery="restart")
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: deltas_of_last_round([*lines]) >= 3)
    index = desk.live[order.request_id][-1].data["output_index"]
    await attempt(order, around)

    events = await told(desk, order)
    assert rewinds(events) == [(2, index)]
    assert outputs(events) == ["done a"]
    assert kinds(events)[-1] == "message"
    assert final_text(events).endswith(text_after_the_last_rewind(events))
    assert counted.calls == 1


async def test_a_later_round_whose_upstream_breaks_is_said_anew_in_the_same_attempt(
    desk: Desk, executor: Bus, simulator: Simulator, serve: Serve
) -> None:
    del executor
    counted = Counted()
    await serve(counted.tool)
    order = desk.order(target("plain"), request=asking("once"), recovery="restart")
    calls = Script(calls=(Call("once", '{"note":"b"}'),))
    simulator.then(calls, Script(tokens=20, tokens_per_s=500, fault=Fault.CUT, after=4), Script(tokens=20))
    events = await desk.answered(await desk.send(order))

    assert events[-1]["type"] == "response.completed"
    assert rewinds(events) == [(1, 2)]
    assert outputs(events) == ["done b"]
    assert text_after_the_last_rewind(events) == final_text(events)
    assert counted.calls == 1


async def test_a_round_is_said_anew_when_its_executor_died_within_its_calls(
    desk: Desk, around: Surroundings, serve: Serve
) -> None:
    counted = Counted()
    await serve(counted.tool)
    order = desk.order(target(ONCE), request=asking("once"), recovery="restart")
    async with dying(order, around):
        await desk.until(order.request_id, lambda lines: any(b"arguments.delta" in line.raw for line in lines))
    await attempt(order, around)

    events = await told(desk, order)
    assert outputs(events) == ["done a"]
    assert counted.calls == 1
    assert all(event["sequence_number"] < 2 * ATTEMPT_STRIDE for event in events)
