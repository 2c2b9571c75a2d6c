"""What the live path loses, a reader gets by replay; what is lost for good is reported."""

import asyncio
import secrets

import pytest

import tokenbus
from tests.client.answerer import Answerer, answering, delta, ending, numbered, whole_answer
from tests.client.conftest import FAST
from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus
from tokenbus_schemas import ATTEMPT_STRIDE, DEFAULT_TENANT, RequestHeaders

MODEL = "openai/gpt-4.1-mini"
PIECES = ["The ", "quick ", "brown ", "fox"]


async def taken(answerer: Answerer) -> RequestHeaders:
    return (await answerer.requests.get()).headers


async def test_a_lost_message_is_replayed_in_its_place(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:3])
        answerer.store(request, lines[3:5])
        await answerer.publish(request, lines[5:])
        assert [event async for event in stream] == lines


async def test_the_loss_of_the_last_message_is_found_by_silence(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:-1])
        answerer.store(request, lines[-1:])
        assert [event async for event in stream] == lines


async def test_capture_that_lags_behind_the_live_path_is_waited_for(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream, asyncio.TaskGroup() as tasks:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:3])
        await answerer.publish(request, lines[5:], stored=False)
        read = tasks.create_task(all_of(stream))
        await eventually(lambda: bool(answerer.replays))
        answerer.store(request, lines[3:])
    assert read.result() == [line.raw for line in lines]


async def test_a_gap_that_nobody_can_fill_is_reported_and_its_text_healed(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi", request_id="gap") as stream:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:3])
        await answerer.publish(request, lines[4:])
        watching = client.attach("gap")
        text = stream.text
        assert await anext(text) == "The "
        assert await anext(text) == "quick brown fox"
    async with watching:
        (gap,) = [event async for event in watching if event.type == tokenbus.GAP_TYPE]
    assert (gap.data["first_missing"], gap.data["last_missing"]) == (3, 3)


async def test_lost_text_that_the_final_text_contradicts_is_never_shown_as_whole(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        await answerer.publish(request, numbered([delta("one")]))
        await answerer.publish(request, numbered([ending(request, status="completed", text="two")], first=2))
        text = stream.text
        assert await anext(text) == "one"
        with pytest.raises(tokenbus.TextLostError) as caught:
            await anext(text)
        assert caught.value.response.output_text == "two"


async def test_a_slow_reader_loses_nothing_and_delays_nobody(nats_url: str, root: str, answerer: Answerer) -> None:
    options = tokenbus.ClientOptions(times=FAST, buffer_bytes=1000)
    async with (
        tokenbus.connect(nats_url, root=root, options=options) as client,
        client.stream(model=MODEL, input="slow") as slow,
    ):
        request = await taken(answerer)
        lines = whole_answer(request, [f"{number} " for number in range(300)])
        for line in lines:
            await answerer.publish(request, [line])
        async with client.stream(model=MODEL, input="quick") as quick:
            other = await taken(answerer)
            await answerer.publish(other, whole_answer(other, ["x"]))
            assert (await quick.response()).output_text == "x"
        assert answerer.replays == []
        assert [event async for event in slow] == lines
        assert answerer.replays, "what its buffer had no room for came by replay"


async def test_a_stored_answer_longer_than_a_page_is_read_page_by_page(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    answerer.page_events = 3
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        answerer.store(request, lines)
        assert [event async for event in stream] == lines
    assert [question.after for question in answerer.replays] == [-1, 2, 5]


async def test_a_reconnect_is_followed_by_a_replay(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    root = f"t{secrets.token_hex(4)}"
    patient = tokenbus.ClientOptions(times=tokenbus.ReadingTimes(silence_s=60))
    async with (
        Bus.connect(server.url, name="answerer") as bus,
        answering(bus, root=root) as answerer,
        tokenbus.connect(server.url, root=root, options=patient) as client,
        client.stream(model=MODEL, input="Hi") as stream,
    ):
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:3])
        assert await anext(stream) == lines[0]
        server.kill()
        answerer.store(request, lines[3:])
        server.start()
        async with asyncio.timeout(10):
            assert [event async for event in stream] == lines[1:]


async def test_a_new_attempt_follows_the_stored_end_of_the_one_before(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        first = numbered([delta("a"), delta("b"), delta("c")])
        second = numbered([ending(request, status="incomplete", text="abc")], first=ATTEMPT_STRIDE)
        await answerer.publish(request, first[:1])
        answerer.store(request, first[1:])
        await answerer.publish(request, second)
        assert [event async for event in stream] == [*first, *second]


async def test_a_terminal_event_with_a_number_already_passed_ends_the_stream(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        await answerer.publish(request, numbered([delta("a"), delta("b")], first=ATTEMPT_STRIDE))
        answerer.store(request, numbered([ending(request, status="cancelled", text="ab")], first=5))
        assert (await stream.response()).status == "cancelled"


async def test_a_malformed_message_is_healed_like_a_lost_one(
    client: tokenbus.Client, answerer: Answerer, bus: Bus
) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream:
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:3])
        subject = answerer.subjects.events(DEFAULT_TENANT, request.channel, request.request_id, 1)
        await bus.publish(subject, b"{not an event}")
        answerer.store(request, lines[3:])
        assert [event async for event in stream] == lines


async def test_an_accepted_request_without_a_trace_is_waited_for_until_its_deadline_and_then_reported(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi", timeout_s=0.3) as stream:
        request = await taken(answerer)
        answerer.answers[request.request_id].state = "unknown"
        with pytest.raises(tokenbus.AnswerLostError, match="the replay service says 'unknown'"):
            await stream.response()


async def test_a_replay_call_that_is_refused_is_an_error(client: tokenbus.Client, answerer: Answerer) -> None:
    answerer.replay_refusal = {"type": "invalid_value", "message": "after: is wrong", "param": "after"}
    async with client.stream(model=MODEL, input="Hi") as stream:
        with pytest.raises(tokenbus.CallRefusedError, match="after: is wrong"):
            await stream.response()


async def test_a_replay_service_in_passing_trouble_is_asked_again(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi") as stream, asyncio.TaskGroup() as tasks:
        request = await taken(answerer)
        answerer.replay_refusal = {"type": "internal_error", "message": "no leader"}
        answerer.store(request, whole_answer(request, PIECES))
        reading = tasks.create_task(stream.response())
        await eventually(lambda: bool(answerer.replays))
        answerer.replay_refusal = None
    assert reading.result().output_text == "The quick brown fox"


async def test_without_a_replay_service_a_gap_is_given_up_in_the_end(
    nats_url: str, root: str, answerer: Answerer
) -> None:
    await answerer.stop_serving("replay")
    options = tokenbus.ClientOptions(times=FAST)
    async with (
        tokenbus.connect(nats_url, root=root, options=options) as client,
        client.stream(model=MODEL, input="Hi") as stream,
    ):
        request = await taken(answerer)
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:2])
        await answerer.publish(request, lines[3:])
        assert [event.sequence_number async for event in stream] == list(range(len(lines)))


async def all_of(stream: tokenbus.ResponseStream) -> list[bytes]:
    return [event.raw async for event in stream]
