"""A request is cancelled by id, by leaving its stream, and by cancelling the task that reads it."""

import asyncio

import pytest

import tokenbus
from tests.client.answerer import Answerer, delta, ending, numbered, whole_answer
from tests.conftest import eventually
from tokenbus.bus import Bus
from tokenbus_schemas import Subjects
from tokenbus_schemas.control import CancelStatus

MODEL = "openai/gpt-4.1-mini"


async def cancelled_id(answerer: Answerer) -> str:
    async with asyncio.timeout(2):
        return await answerer.cancels.get()


async def test_leaving_early_cancels(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi", request_id="left"):
        pass
    assert answerer.cancels.get_nowait() == "left"


async def test_leaving_after_the_end_cancels_nothing(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole_answer(request, ["a"]))
        await stream.response()
    assert answerer.cancels.empty()


async def test_a_request_may_be_left_to_run_and_watched_again(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi", on_exit="continue") as stream:
        request = (await answerer.requests.get()).headers
        lines = whole_answer(request, ["a", "b"])
        await answerer.publish(request, lines[:3])
        await anext(stream)
    await answerer.publish(request, lines[3:])
    async with client.attach(stream.request_id, after=stream.last_sequence_number) as again:
        assert [event async for event in again] == lines[1:]
    assert answerer.cancels.empty()


async def test_an_exception_in_the_body_cancels_and_passes(client: tokenbus.Client, answerer: Answerer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client.stream(model=MODEL, input="Hi", request_id="broken"):
            raise ZeroDivisionError
    assert await cancelled_id(answerer) == "broken"


async def test_a_cancelled_task_cancels_its_request(client: tokenbus.Client, answerer: Answerer) -> None:
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.respond(model=MODEL, input="Hi", request_id="task"))
        await answerer.requests.get()
        reading.cancel()
        assert await cancelled_id(answerer) == "task"
    assert reading.cancelled()


@pytest.mark.parametrize("turns", range(12))
async def test_a_task_cancelled_in_any_turn_of_the_event_loop_cancels_its_request(
    client: tokenbus.Client, answerer: Answerer, turns: int
) -> None:
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.respond(model=MODEL, input="Hi"))
        await answerer.requests.get()
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await cancelled_id(answerer)
    assert reading.cancelled()


async def test_a_timeout_around_the_answer_cancels_its_request(client: tokenbus.Client, answerer: Answerer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.respond(model=MODEL, input="Hi", request_id="slow")
    assert answerer.cancels.get_nowait() == "slow"


async def test_a_cancel_that_nobody_takes_delays_leaving_only_briefly(
    nats_url: str, root: str, answerer: Answerer, bus: Bus
) -> None:
    await answerer.stop_serving("control")
    await bus.subscribe(f"{root}.control.>", lambda message: None)
    await bus.flush()
    options = tokenbus.ClientOptions(cancel_on_exit_s=0.1)
    async with (
        tokenbus.connect(nats_url, root=root, options=options) as client,
        asyncio.timeout(1),
        client.stream(model=MODEL, input="Hi"),
    ):
        pass


async def test_cancelling_while_the_request_is_being_sent_cancels_it(nats_url: str, root: str, bus: Bus) -> None:
    """Nobody acknowledges it, so it is not known whether it was accepted: the cancel goes out all the same."""
    sent: list[bytes] = []
    cancels: list[str] = []

    async def take_cancel(subject: str, reply: str) -> None:
        cancels.append(Subjects(root).parse_call(subject).request_id)
        await bus.publish(reply, b'{"status":"unknown"}')

    await bus.subscribe(f"{root}.requests.>", lambda message: sent.append(message.data))
    await bus.subscribe(f"{root}.control.>", lambda message: take_cancel(message.subject, message.reply))
    await bus.flush()
    async with tokenbus.connect(nats_url, root=root) as client, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.respond(model=MODEL, input="Hi", request_id="unsure"))
        await eventually(lambda: bool(sent))
        sending.cancel()
    assert cancels == ["unsure"]


@pytest.mark.parametrize("status", ["cancelled", "cancelling", "ended", "unknown"])
async def test_cancel_by_id_tells_what_became_of_it(
    client: tokenbus.Client, answerer: Answerer, status: CancelStatus
) -> None:
    answerer.cancel_status = status
    assert await client.cancel("anyone") == status
    assert answerer.cancels.get_nowait() == "anyone"


async def test_a_cancel_call_that_is_refused_is_an_error(client: tokenbus.Client, answerer: Answerer) -> None:
    answerer.cancel_status = None
    with pytest.raises(tokenbus.CallRefusedError, match="action: refused"):
        await client.cancel("anyone")


async def test_without_a_router_a_cancel_is_an_error_at_once(nats_url: str, root: str) -> None:
    async with tokenbus.connect(nats_url, root=root) as client, asyncio.timeout(1):
        with pytest.raises(tokenbus.NoRespondersError, match="is the service that serves it running"):
            await client.cancel("anyone")


async def test_a_request_cancelled_elsewhere_ends_with_that_status(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([delta("a"), ending(request, status="cancelled", text="a")]))
        assert "".join([piece async for piece in stream.text]) == "a"
        assert (await stream.response()).status == "cancelled"
