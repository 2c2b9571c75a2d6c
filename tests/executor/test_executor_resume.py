"""Recovery `resume`: an answer that the provider keeps goes on behind its last event, whoever died; no token twice."""

import asyncio
from typing import Any

import pytest

from tests.executor.attempts import attempt, dying, surroundings, told
from tests.executor.conftest import Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.executor.test_executor_restart import Counted, deltas, deltas_of_last_round, final_text
from tests.executor.tool_serving import Serve, asking, kinds, outputs, serving
from tests.valid_stream import Json, check_stream
from tokenbus.bus import Bus
from tokenbus.sequencer import Sequencer
from tokenbus_executor.surroundings import Surroundings
from tokenbus_schemas import ErrorCode, EventLine, ProviderRow, ProviderTable
from tokenbus_schemas.vocabulary import RESUMED, REWOUND
from tokenbus_simulator import Fault, Script, Simulator

serve = pytest.fixture(serving)
SLOW = "sim;rate=100;tokens=40"


def keeping(simulator: Simulator, **changes: Any) -> ProviderRow:
    return provider(simulator, responses={"background": True}, **changes)


@pytest.fixture
async def desk(desk: Desk, simulator: Simulator) -> Desk:
    await desk.publish_providers(keeping(simulator))
    return desk


around = pytest.fixture(surroundings)


@pytest.fixture
def keeps(around: Surroundings, simulator: Simulator) -> Surroundings:
    around.providers.replace(ProviderTable(providers=[keeping(simulator)]).model_dump_json().encode())
    return around


def resumptions(events: list[Json]) -> list[tuple[int, int]]:
    return [(event["attempt"], event["after"]) for event in events if event["type"] == RESUMED]


def check_exact(events: list[Json]) -> None:
    """Every piece of the answer was told once."""
    assert events[-1]["type"] == "response.completed"
    assert text_of(events) == final_text(events) != ""
    assert REWOUND not in [event["type"] for event in events]
    assert events[-1]["response"]["usage"]["output_tokens"] > 0


def methods(simulator: Simulator) -> list[str]:
    return [exchange.method for exchange in simulator.record]


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.RESET, Fault.EOF])
@pytest.mark.parametrize("after", [0, 1, 2, 7, 19])
async def test_a_stream_that_breaks_goes_on_in_the_same_attempt(
    desk: Desk, executor: Bus, simulator: Simulator, fault: Fault, after: int
) -> None:
    del executor
    events = await desk.ask(f"sim;rate=400;tokens=20;fault={fault};after={after}", recovery="resume")

    check_exact(events)
    assert resumptions(events) == []
    assert methods(simulator) == ["POST", "GET"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_a_stream_that_breaks_again_and_again_goes_on_as_long_as_it_brings_something(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    simulator.then(Script(tokens=12, tokens_per_s=400, fault=Fault.CUT, after=5, cuts=3))
    events = await desk.ask("plain", recovery="resume")

    check_exact(events)
    assert len(simulator.record) >= 4


@pytest.mark.parametrize("count", [1, 2, 9])
async def test_an_answer_whose_executor_dies_goes_on_with_the_next(
    desk: Desk, keeps: Surroundings, simulator: Simulator, count: int
) -> None:
    order = desk.order(target(SLOW), recovery="resume")
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= count)
    last = desk.live[order.request_id][-1].sequence_number
    await attempt(order, keeps)

    events = await told(desk, order)
    check_exact(events)
    assert resumptions(events) == [(2, last)]
    assert methods(simulator) == ["POST", "GET"]
    assert events[-1]["response"]["tokenbus"]["attempt"] == 2


async def test_an_answer_goes_on_after_each_of_several_deaths(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target(SLOW), recovery="resume")
    for number in (1, 2, 3):
        seen = deltas(desk.live[order.request_id])
        async with dying(order, keeps, attempt=number):
            await desk.until(order.request_id, lambda lines, seen=seen: deltas([*lines]) >= seen + 3)
    await attempt(order, keeps, number=4)

    events = await told(desk, order)
    check_exact(events)
    assert [number for number, _ in resumptions(events)] == [2, 3, 4]
    assert methods(simulator) == ["POST", "GET", "GET", "GET"]


async def test_an_executor_that_dies_before_the_first_token_leaves_its_call_to_the_next(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target("sim;ttft=1500;tokens=20"), recovery="resume")
    async with dying(order, keeps):
        await noted(desk, keeps, order)
    await attempt(order, keeps)

    events = await told(desk, order)
    check_exact(events)
    assert resumptions(events) == []
    assert methods(simulator) == ["POST", "GET"]


async def test_an_answer_that_had_not_begun_and_is_forgotten_is_asked_for_anew(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    simulator.then(Script(first_token_ms=60_000, retention_s=0))
    order = desk.order(target("plain"), recovery="resume")
    async with dying(order, keeps):
        await noted(desk, keeps, order)
    await attempt(order, keeps)

    check_exact(await told(desk, order))
    assert [exchange.path.rpartition("/")[2] for exchange in simulator.record][-1] == "responses"


async def noted(desk: Desk, around: Surroundings, order: Any) -> None:
    async with asyncio.timeout(5):
        while await around.tools.notes.newest(order.tenant, order.request_id) is None:
            await desk.bus.flush()


async def test_a_reader_that_had_more_than_was_stored_reads_nothing_twice(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    """An attempt that stood still wakes up and publishes on, behind the back of the one that has resumed."""
    order = desk.order(target(SLOW), recovery="resume")
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 8)
    before = list(desk.live[order.request_id])
    await attempt(order, keeps)
    await told(desk, order)
    again = desk.live[order.request_id][len(before) :]
    late = again[1:4]  # these are what the first attempt would publish next
    behind = [EventLine(renumber(line, before[-1].sequence_number + place)) for place, line in enumerate(late, 1)]

    reader = Sequencer()
    ready = reader.feed([*before, *behind]) + reader.feed(again) + reader.fill(again, more=False)
    assert reader.ended
    check_stream(ready)


def renumber(line: EventLine, number: int) -> bytes:
    return line.raw.replace(b'"sequence_number":%d' % line.sequence_number, b'"sequence_number":%d' % number, 1)


@pytest.mark.parametrize("reason", ["chat", "not kept", "not stored"])
async def test_where_the_provider_can_not_keep_it_a_broken_answer_fails_and_keeps_what_came(
    desk: Desk, executor: Bus, simulator: Simulator, reason: str
) -> None:
    del executor
    api = "chat_completions" if reason == "chat" else "responses"
    if reason == "not kept":
        await desk.publish_providers(provider(simulator, name="plain"))
    request: Json = {"input": "Hello.", **({"store": False} if reason == "not stored" else {})}
    where = target(
        "sim;rate=400;tokens=20;fault=cut;after=5", api=api, provider="plain" if reason == "not kept" else "lab"
    )
    events = await desk.answered(await desk.send(desk.order(where, request=request, recovery="resume")))

    assert events[-1]["response"]["error"]["type"] == "upstream_cut"
    assert text_of(events) == final_text(events) != ""
    assert methods(simulator) == ["POST"]
    (exchange,) = simulator.record
    assert "background" not in str(exchange.body)


async def test_an_answer_that_the_provider_forgot_fails_and_keeps_what_came(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target(f"{SLOW};retention=0"), recovery="resume")
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 5)
    await attempt(order, keeps)

    events = await told(desk, order)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["type"] in {ErrorCode.UPSTREAM_REFUSED, ErrorCode.EXECUTOR_LOST}
    assert text_of(events) == final_text(events) != ""


async def test_a_cancel_ends_the_answer_at_the_provider(desk: Desk, executor: Bus, simulator: Simulator) -> None:
    del executor
    request_id = await desk.send(desk.order(target("sim;rate=50;tokens=500"), recovery="resume"))
    await desk.until(request_id, lambda lines: deltas([*lines]) >= 3)
    assert await desk.stop(request_id)
    events = await desk.answered(request_id)

    assert events[-1]["response"]["status"] == "cancelled"
    assert [exchange.path.rpartition("/")[2] for exchange in simulator.record][-1] == "cancel"


async def test_a_cancel_between_two_attempts_ends_the_answer_at_the_provider(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target("sim;rate=50;tokens=500"), recovery="resume")
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 3)
    await desk.mark(order.request_id)
    await attempt(order, keeps)

    events = await told(desk, order)
    assert events[-1]["response"]["status"] == "cancelled"
    assert text_of(events) == final_text(events) != ""
    assert [exchange.path.rpartition("/")[2] for exchange in simulator.record][-1] == "cancel"


async def test_a_cancel_of_a_resumed_answer_ends_it_at_the_provider(
    desk: Desk, keeps: Surroundings, simulator: Simulator
) -> None:
    order = desk.order(target("sim;rate=50;tokens=500"), recovery="resume")
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= 3)
    seen = deltas(desk.live[order.request_id])
    async with asyncio.TaskGroup() as group:
        group.create_task(attempt(order, keeps))
        await desk.until(order.request_id, lambda lines: deltas([*lines]) >= seen + 3)
        assert await desk.stop(order.request_id)

    events = await told(desk, order)
    assert events[-1]["response"]["status"] == "cancelled"
    assert text_of(events) == final_text(events)
    assert [exchange.path.rpartition("/")[2] for exchange in simulator.record][-1] == "cancel"


async def test_a_call_that_is_given_up_for_another_target_is_ended_at_the_provider(
    desk: Desk, impatient: Bus, simulator: Simulator
) -> None:
    del impatient
    order = desk.order(target("sim;ttft=60000"), target("other"), recovery="resume")
    check_exact(await desk.answered(await desk.send(order)))

    assert [exchange.path.rpartition("/")[2] for exchange in simulator.record] == ["responses", "cancel", "responses"]


async def test_a_shutdown_within_a_stream_lets_the_next_executor_go_on(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    async with start_executor():
        request_id = await desk.send(desk.order(target(SLOW), recovery="resume"))
        await desk.until(request_id, lambda lines: deltas([*lines]) >= 3)
    async with start_executor():
        check_exact(await desk.answered(request_id, attempt=2))

    assert methods(simulator) == ["POST", "GET"]


async def test_rounds_of_tools_go_on_from_any_round(
    desk: Desk, keeps: Surroundings, serve: Serve, simulator: Simulator
) -> None:
    counted = Counted()
    await serve(counted.tool)
    order = desk.order(
        target('sim;call=once({"note":"a"});tokens=30;rate=200'), request=asking("once"), recovery="resume"
    )
    async with dying(order, keeps):
        await desk.until(order.request_id, lambda lines: deltas_of_last_round([*lines]) >= 3)
    await attempt(order, keeps)

    events = await told(desk, order)
    check_exact(events)
    assert outputs(events) == ["done a"]
    assert kinds(events)[-1] == "message"
    assert counted.calls == 1
    assert methods(simulator) == ["POST", "POST", "GET"]
