"""Watching an answer from another process: what is stored, then what comes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

import tokenbus
from tests.client.answerer import Answerer, ending, numbered, whole_answer
from tests.client.conftest import FAST
from tests.conftest import eventually
from tokenbus.bus import Bus, Message
from tokenbus_schemas import RequestHeaders, RequestId

MODEL = "openai/gpt-4.1-mini"
REQUEST = RequestHeaders(RequestId("watched"))
PIECES = ["The ", "quick ", "brown ", "fox"]


@pytest.fixture
async def watcher(nats_url: str, root: str, answerer: Answerer) -> AsyncGenerator[tokenbus.Client]:
    """Another process's client: it has sent nothing."""
    async with tokenbus.connect(nats_url, root=root, options=tokenbus.ClientOptions(times=FAST)) as connected:
        yield connected


async def test_an_ended_answer_is_replayed_whole(watcher: tokenbus.Client, answerer: Answerer) -> None:
    lines = whole_answer(REQUEST, PIECES)
    answerer.store(REQUEST, lines)
    async with watcher.attach("watched") as stream:
        assert [event async for event in stream] == lines


async def test_a_running_answer_is_replayed_and_then_followed(watcher: tokenbus.Client, answerer: Answerer) -> None:
    lines = whole_answer(REQUEST, PIECES)
    answerer.store(REQUEST, lines[:4])
    async with watcher.attach("watched") as stream:
        assert [await anext(stream) for _ in range(4)] == lines[:4]
        await answerer.publish(REQUEST, lines[4:])
        assert [event async for event in stream] == lines[4:]


async def test_two_watchers_and_the_sender_see_the_same_text(
    client: tokenbus.Client, watcher: tokenbus.Client, answerer: Answerer
) -> None:
    async with client.stream(model=MODEL, input="Hi", request_id="watched") as sent:
        request = (await answerer.requests.get()).headers
        lines = whole_answer(request, PIECES)
        await answerer.publish(request, lines[:4])
        async with watcher.attach("watched") as one, client.attach("watched") as two:
            early = await anext(one.text)
            await answerer.publish(request, lines[4:])
            texts = ["".join([piece async for piece in stream.text]) for stream in (one, two, sent)]
    assert [early + texts[0], texts[1], texts[2]] == ["The quick brown fox"] * 3


@pytest.mark.parametrize("after", range(-1, 8))
async def test_watching_continues_after_any_sequence_number(
    watcher: tokenbus.Client, answerer: Answerer, after: int
) -> None:
    lines = whole_answer(REQUEST, PIECES)
    answerer.store(REQUEST, lines)
    async with watcher.attach("watched", after=after) as stream:
        assert [event async for event in stream] == (lines[after + 1 :] or lines[-1:])


async def test_the_terminal_event_comes_even_if_it_was_seen_before(
    watcher: tokenbus.Client, answerer: Answerer
) -> None:
    answerer.page_events = 2
    answerer.store(REQUEST, whole_answer(REQUEST, PIECES))
    async with watcher.attach("watched", after=10_000) as stream:
        assert (await stream.response()).output_text == "The quick brown fox"


async def test_text_from_the_middle_is_the_rest_of_the_text(watcher: tokenbus.Client, answerer: Answerer) -> None:
    lines = whole_answer(REQUEST, PIECES)
    answerer.store(REQUEST, lines)
    async with watcher.attach("watched", after=lines[3].sequence_number) as stream:
        assert "".join([piece async for piece in stream.text]) == "brown fox"


async def test_an_unknown_request_is_an_error(watcher: tokenbus.Client) -> None:
    async with watcher.attach("nobody") as stream:
        with pytest.raises(tokenbus.UnknownRequestError, match="nobody is not known"):
            await stream.response()


async def test_without_a_router_watching_is_an_error(nats_url: str, root: str) -> None:
    options = tokenbus.ClientOptions(times=FAST)
    async with tokenbus.connect(nats_url, root=root, options=options) as client, client.attach("any") as stream:
        with pytest.raises(tokenbus.NoRespondersError, match="is the service that serves it running"):
            await stream.response()


async def test_a_router_that_dies_with_the_first_call_in_hand_is_followed_by_another(
    watcher: tokenbus.Client, answerer: Answerer, bus: Bus, root: str
) -> None:
    """The call's time limit alone is more than what an unknown request is waited for."""
    unanswered: list[Message] = []
    await answerer.stop_serving("replay")
    dying = await bus.subscribe(f"{root}.replay.>", unanswered.append)
    await bus.flush()
    answerer.store(REQUEST, whole_answer(REQUEST, PIECES))
    async with watcher.attach("watched") as stream, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(stream.response())
        await eventually(lambda: bool(unanswered))
        await dying.unsubscribe()
        await bus.subscribe(f"{root}.replay.>", answerer.answer_replay)
    assert reading.result().output_text == "The quick brown fox"


async def test_a_replayed_event_that_is_none_is_a_breach_of_contract(
    watcher: tokenbus.Client, answerer: Answerer, bus: Bus, root: str
) -> None:
    async def answer(message: Message) -> None:
        await bus.publish(message.reply, b'{"state":"streaming","events":[{"type":"x"}]}')

    await answerer.stop_serving("replay")
    await bus.subscribe(f"{root}.replay.>", answer)
    await bus.flush()
    async with watcher.attach("watched") as stream:
        with pytest.raises(tokenbus.ContractError, match="does not fit the wire contract"):
            await stream.response()


async def test_a_request_that_becomes_known_a_moment_later_is_followed(
    watcher: tokenbus.Client, answerer: Answerer
) -> None:
    async with watcher.attach("watched") as stream, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(stream.response())
        await eventually(lambda: bool(answerer.replays))
        await answerer.publish(REQUEST, numbered([ending(REQUEST, status="incomplete")]))
    assert reading.result().status == "incomplete"


async def test_leaving_a_watched_answer_does_not_cancel_it(watcher: tokenbus.Client, answerer: Answerer) -> None:
    answerer.store(REQUEST, whole_answer(REQUEST, PIECES)[:3])
    async with watcher.attach("watched") as stream:
        await anext(stream)
    await watcher.models()
    assert answerer.cancels.empty()


async def test_an_impossible_request_id_is_refused(watcher: tokenbus.Client) -> None:
    with pytest.raises(tokenbus.InvalidRequestError, match=r"request id 'a\.\*' must be 1 to 64 characters"):
        watcher.attach("a.*")


async def test_an_impossible_sequence_number_is_refused(watcher: tokenbus.Client) -> None:
    with pytest.raises(tokenbus.InvalidRequestError, match="after: must be a sequence number"):
        watcher.attach("any", after=-2)
