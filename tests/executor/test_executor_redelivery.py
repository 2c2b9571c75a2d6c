"""Work that is delivered again: it goes on, ends, or repeats its end, but two attempts never both end the request."""

import asyncio
from typing import Any

import pytest

from tests.conftest import eventually
from tests.executor.conftest import CHANNEL, POOL, TENANT, Desk, StartExecutor, target
from tests.executor.test_executor_answers import text_of
from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Fence, Stored, TerminalWriter
from tokenbus_executor.publisher import EventPublisher
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, RequestId, WorkOrder, encode, encode_message
from tokenbus_simulator import Fault, Script, Simulator
from tokenbus_translate import ResponseAssembly, ResponseHead
from tokenbus_translate.text import OUTPUT_TEXT


def writer(desk: Desk) -> TerminalWriter:
    return TerminalWriter(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)


async def publish_some(desk: Desk, order: WorkOrder) -> None:
    """What a first attempt that died left behind."""
    head = ResponseHead(
        response_id=f"resp_{order.request_id}",
        model=order.model,
        created_at=int(order.accepted_at),
        echo=order.request,
        provider="lab",
        upstream_model="sim",
        api="responses",
        attempt=1,
        request_id=order.request_id,
    )
    assembly = ResponseAssembly(head)
    assembly.open_item({"type": "message"}).open_text(OUTPUT_TEXT).write("Once upon")
    subject = desk.subjects.events(TENANT, CHANNEL, RequestId(order.request_id), 1)
    await desk.bus.publish(subject, encode_message(assembly.take(), first=0))
    await eventually(lambda: bool(desk.live[order.request_id]))


def second(desk: Desk, *targets: Any, **changes: Any) -> Any:
    """An order whose first delivery is attempt 2."""
    return desk.order(*targets, attempt_base=1, **changes)


async def test_an_attempt_after_one_that_published_nothing_streams_as_if_it_were_the_first(
    desk: Desk, executor: Bus
) -> None:
    del executor
    request_id = await desk.send(second(desk))
    events = await desk.answered(request_id, attempt=2)

    assert events[0]["sequence_number"] == ATTEMPT_STRIDE
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["tokenbus"]["attempt"] == 2
    stored = await desk.stored_end(request_id)
    assert stored is not None
    assert dict(stored.data) == events[-1]


@pytest.mark.parametrize("recovery", ["fail", "resume"])
async def test_an_attempt_after_one_that_published_ends_the_answer_as_lost_and_keeps_what_came(
    desk: Desk, executor: Bus, simulator: Simulator, recovery: str
) -> None:
    del executor
    order = second(desk, recovery=recovery)
    await publish_some(desk, order)
    await desk.send(order)
    events = await desk.answered(order.request_id, attempt=2)

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["type"] == "executor_lost"
    assert text_of(events) == "Once upon"
    assert len(simulator.record) == 0
    await desk.nothing_left()


async def test_an_attempt_after_the_end_publishes_that_end_again(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    order = second(desk)
    end = encode(Event("response.completed", b',"response":{"id":"resp_1"}'), 41)
    await writer(desk).store(TENANT, RequestId(order.request_id), end, expected_sequence=0)
    await desk.send(order)
    await desk.nothing_left()

    await eventually(lambda: desk.live[order.request_id] == [EventLine(end)])
    assert len(simulator.record) == 0


async def test_an_attempt_that_finds_a_later_one_publishes_nothing_and_leaves_the_work(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    order = second(desk)
    fence = await writer(desk).fence(TENANT, RequestId(order.request_id), attempt=2_000)
    await desk.send(order)
    await desk.ask()  # it has begun, and so has the one before it

    assert desk.live[order.request_id] == []
    assert [exchange.model for exchange in simulator.record] == ["sim"]
    assert await writer(desk).read(TENANT, RequestId(order.request_id)) == fence


async def test_an_attempt_that_is_overtaken_while_it_streams_closes_its_connection_and_falls_silent(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    order = desk.order(target("sim;rate=50;tokens=500"))
    await desk.send(order)
    await desk.until(order.request_id, lambda lines: len(lines) > 6)
    await desk.send(second(desk, request_id=order.request_id))
    async with asyncio.timeout(1):
        await simulator.record.wait_for(lambda exchange: exchange.closed_at is not None)
    events = await desk.answered(order.request_id, attempt=2)

    assert events[-1]["response"]["error"]["type"] == "executor_lost"
    assert not any(line.is_terminal for line in desk.live[order.request_id] if line.attempt == 1)


async def test_an_attempt_that_learns_at_its_end_that_it_was_overtaken_publishes_no_end(
    desk: Desk, executor: Bus
) -> None:
    del executor
    order = desk.order(target("sim;rate=50;tokens=20"))
    await desk.send(order)
    await desk.until(order.request_id, lambda lines: len(lines) > 6)
    fence = await writer(desk).fence(TENANT, RequestId(order.request_id), attempt=2)
    assert isinstance(fence, Fence)
    await desk.until(order.request_id, lambda lines: sum(line.type.endswith(".delta") for line in lines) == 20)
    await desk.ask("sim;rate=50;tokens=5")

    assert not any(line.is_terminal for line in desk.live[order.request_id])
    stored = await desk.stored_end(order.request_id)
    assert stored is not None
    assert not stored.is_terminal


async def test_an_answer_that_another_has_ended_publishes_that_end(desk: Desk, executor: Bus) -> None:
    del executor
    order = desk.order(target("sim;rate=100;tokens=10"))
    await desk.send(order)
    await desk.until(order.request_id, lambda lines: len(lines) > 6)
    end = encode(Event("response.incomplete", b',"response":{"status":"cancelled"}'), ATTEMPT_STRIDE)
    stored = await writer(desk).store(TENANT, RequestId(order.request_id), end, expected_sequence=0)
    assert isinstance(stored, Stored)
    await desk.until(order.request_id, lambda lines: any(line.is_terminal for line in lines))

    assert [line for line in desk.live[order.request_id] if line.is_terminal] == [EventLine(end)]
    await desk.nothing_left()


async def test_a_shutdown_hands_work_back_unended_and_the_next_executor_answers(
    desk: Desk, start_executor: StartExecutor, simulator: Simulator
) -> None:
    simulator.then(Script(fault=Fault.SILENT))
    async with start_executor(first_event_timeout_s=20.0):
        request_id = await desk.send(desk.order(target("plain")))
        async with asyncio.timeout(5):
            await simulator.record.wait_for(lambda exchange: True)
    async with asyncio.timeout(1):
        await simulator.record.wait_for(lambda exchange: exchange.closed_at is not None)
    assert desk.live[request_id] == []
    assert await desk.stored_end(request_id) is None

    async with start_executor():
        events = await desk.answered(request_id, attempt=2)
        assert events[-1]["type"] == "response.completed"
        assert text_of(events) != ""
        await desk.nothing_left()


async def test_a_shutdown_within_a_stream_writes_no_end_and_the_next_executor_ends_it_as_lost(
    desk: Desk, start_executor: StartExecutor
) -> None:
    async with start_executor():
        request_id = await desk.send(desk.order(target("sim;rate=50;tokens=500")))
        await desk.until(request_id, lambda lines: len(lines) > 6)
    assert not any(line.is_terminal for line in desk.live[request_id])

    async with start_executor():
        events = await desk.answered(request_id, attempt=2)
        assert events[-1]["response"]["error"]["type"] == "executor_lost"


@pytest.mark.parametrize("model", ["sim", "sim;ttft=60000"])
async def test_an_id_that_was_used_before_gets_the_end_of_the_first_and_nothing_else(
    desk: Desk, executor: Bus, simulator: Simulator, model: str
) -> None:
    del executor
    order = desk.order(target(model))
    end = encode(Event("response.failed", b',"response":{"id":"resp_1"}'), 2)
    await writer(desk).store(TENANT, RequestId(order.request_id), end, expected_sequence=0)
    await desk.send(order)
    await desk.nothing_left(timeout_s=10.0)

    await eventually(lambda: bool(desk.live[order.request_id]))
    assert desk.live[order.request_id] == [EventLine(end)]
    async with asyncio.timeout(5):
        await simulator.record.wait_for(lambda exchange: bool(exchange.closed_at or exchange.finished_at))


async def test_nothing_is_published_before_it_is_known_that_the_id_is_new(bus: Bus, desk: Desk) -> None:
    gate = asyncio.Event()
    subject = desk.subjects.events(TENANT, CHANNEL, RequestId("r1"), 1)
    publisher = EventPublisher(bus, subject=subject, attempt=1, gate=gate)
    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.publish([Event("response.created", b"")]))
        await bus.flush()
        assert desk.live["r1"] == []
        gate.set()
    await eventually(lambda: len(desk.live["r1"]) == 1)


async def test_an_error_in_ending_an_answer_ends_it_all_the_same(desk: Desk, executor: Bus) -> None:
    del executor
    # No JSON encoder of ours writes it, so that no event with the request's echo can be made.
    request_id = await desk.send(desk.order(request={"input": "Hi.", "max_tool_calls": 2**70}))
    await desk.until(request_id, lambda lines: any(line.is_terminal for line in lines))

    (end,) = desk.live[request_id]
    assert end.type == "response.failed"
    assert end.data["response"]["error"]["type"] == "internal_error"
    assert await desk.stored_end(request_id) == end
    await desk.nothing_left()


@pytest.mark.parametrize(
    "payload", [b"", b"no JSON", b"[]", b'{"version":2}', b'{"version":1,"request_id":"a b"}', b"\xff"]
)
async def test_an_order_that_can_not_be_read_goes_to_the_dead_letters(
    desk: Desk, executor: Bus, payload: bytes
) -> None:
    del executor
    await desk.send_raw(payload)
    await desk.nothing_left()

    dead = await desk.bus.last_message(desk.stored.dead.name, desk.subjects.dead("work"))
    assert dead is not None
    assert dead.data == payload
    assert dead.headers["Tokenbus-Origin"] == desk.subjects.work(POOL, "standard", TENANT)
    assert "the work order can not be read" in dead.headers["Tokenbus-Reason"]
    assert (await desk.ask())[-1]["type"] == "response.completed"


async def test_an_error_of_our_own_ends_the_answer(desk: Desk, executor: Bus) -> None:
    del executor
    # No JSON encoder of ours writes it; the router lets none of these through.
    events = await desk.ask(api="chat_completions", request={"input": "Hi.", "seed": 2**70})

    assert events[-1]["response"]["error"]["type"] == "internal_error"
