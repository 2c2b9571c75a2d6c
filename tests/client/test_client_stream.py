"""Sending a request and reading its answer, over real NATS."""

import asyncio

import pytest

import tokenbus
from tests.client.answerer import Answerer, delta, ending, numbered, whole_answer
from tokenbus_schemas import ErrorBody, ErrorCode

MODEL = "openai/gpt-4.1-mini"


async def test_respond_gives_the_whole_answer(client: tokenbus.Client, answerer: Answerer) -> None:
    async def answer() -> None:
        request = await answerer.requests.get()
        await answerer.publish(request.headers, whole_answer(request.headers, ["Hel", "lo"]))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer())
        response = await client.respond(model=MODEL, input="Hi", temperature=0.5)
    assert response.output_text == "Hello"


async def test_a_request_stands_on_the_bus_as_it_was_given(client: tokenbus.Client, answerer: Answerer) -> None:
    body = {"model": MODEL, "input": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
    async with client.stream(body, request_id="r1", priority_class="low", timeout_s=30, temperature=0.7):
        request = await answerer.requests.get()
    assert request.body == {**body, "temperature": 0.7, "tokenbus": {"recovery": "restart"}}
    assert (request.headers.request_id, request.headers.timeout_s, request.priority_class) == ("r1", 30, "low")


async def test_text_grows_piece_by_piece(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        text = stream.text
        lines = whole_answer(request, ["a", "b"])
        for place, expected in ((3, "a"), (4, "b")):
            await answerer.publish(request, lines[0 if place == 3 else 3 : place])
            assert await anext(text) == expected
        await answerer.publish(request, lines[4:])
        assert [piece async for piece in text] == []
        assert (await stream.response()).status == "completed"


async def test_events_come_in_order_with_the_terminal_event_last(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        lines = whole_answer(request, ["a", "b"])
        await answerer.publish(request, lines[:2])
        await answerer.publish(request, lines[2:])
        assert [event async for event in stream] == lines
        assert stream.last_sequence_number == lines[-1].sequence_number


async def test_a_failed_answer_raises_with_its_response(client: tokenbus.Client, answerer: Answerer) -> None:
    error = {"code": "server_error", "type": "model_not_found", "message": "model: is unknown", "param": "model"}
    async with client.stream(model="no/such", input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status="failed", error=error)]))
        with pytest.raises(tokenbus.ResponseFailedError, match="model_not_found: model: is unknown") as caught:
            await stream.response()
    assert (caught.value.code, caught.value.param, caught.value.response.status) == (
        "model_not_found",
        "model",
        "failed",
    )
    assert caught.value.retry_after_s is None


async def test_a_failed_answer_says_when_to_try_again_where_that_is_known(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    error = ErrorBody(ErrorCode.OVERLOADED, "full", retry_after_s=2.5).to_wire()
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status="failed", error=error)]))
        with pytest.raises(tokenbus.ResponseFailedError) as caught:
            await stream.response()
    assert (caught.value.facts.retry, caught.value.retry_after_s) == ("later", 2.5)


async def test_the_text_of_a_failed_answer_never_ends_quietly(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([delta("half"), ending(request, status="failed", text="half")]))
        text = stream.text
        assert await anext(text) == "half"
        with pytest.raises(tokenbus.ResponseFailedError):
            await anext(text)


async def test_an_incomplete_answer_is_returned(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status="incomplete", text="half")]))
        assert (await stream.response()).status == "incomplete"


async def test_many_streams_share_one_subscription_and_never_mix(client: tokenbus.Client, answerer: Answerer) -> None:
    async def ask(number: int) -> str:
        return (await client.respond(model=MODEL, input=str(number))).output_text

    async def answer() -> None:
        requests = [await answerer.requests.get() for _ in range(50)]
        channels = {request.headers.channel for request in requests}
        assert len(channels) == 1
        answers = [(one.headers, whole_answer(one.headers, [one.body["input"]] * 3)) for one in requests]
        for place in range(len(answers[0][1])):
            for headers, lines in answers:
                await answerer.publish(headers, [lines[place]])

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask(number)) for number in range(50)]
        tasks.create_task(answer())
    assert [task.result() for task in asked] == [str(number) * 3 for number in range(50)]


async def test_a_request_id_can_not_be_read_twice_at_once(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi", request_id="same"):
        with pytest.raises(tokenbus.InvalidRequestError, match="same is in use"):
            await client.respond(model=MODEL, input="Hi", request_id="same")


async def test_a_stream_that_was_left_says_so(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        pass
    with pytest.raises(RuntimeError, match="inside `async with`"):
        await stream.response()


async def test_the_answer_can_be_asked_for_after_the_stream_was_left(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole_answer(request, ["a"]))
        await stream.response()
    assert (await stream.response()).output_text == "a"
