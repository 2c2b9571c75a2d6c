"""Background responses: polled, streamed again, cancelled, deleted; and what is kept of others."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp
import openai as sdk
import pytest
from openai import AsyncOpenAI

from tokenbus_simulator import Script, Simulator
from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.error_styles import openai_error
from tokenbus_simulator.faults import Fault
from tokenbus_simulator.kept import Generation, Kept
from tokenbus_simulator.recall import cancel, recall, stream_again
from tokenbus_simulator.stored import ResponseStore, Stored
from tokenbus_simulator.wire import Frame

Events = Callable[[bytes], list[dict[str, Any]]]

SLOW = "sim;rate=200;tokens=60"


async def until_ended(openai: AsyncOpenAI, response_id: str) -> Any:
    async with asyncio.timeout(10):
        while (response := await openai.responses.retrieve(response_id)).status in ("queued", "in_progress"):
            pass
    return response


async def test_a_background_response_is_queued_then_in_progress_then_completed(openai: AsyncOpenAI) -> None:
    response = queued = await openai.responses.create(
        model="sim;ttft=200;rate=40;tokens=20", input="Hi", background=True
    )
    assert (queued.status, queued.output, queued.background) == ("queued", [], True)
    seen = {queued.status}
    async with asyncio.timeout(10):
        while response.status != "completed":
            response = await openai.responses.retrieve(queued.id)
            seen.add(response.status)
    assert seen == {"queued", "in_progress", "completed"}
    assert response.id == queued.id
    assert response.usage is not None
    assert response.usage.output_tokens == 20


async def test_the_sdks_stream_helper_takes_a_background_stream(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model="sim;tokens=5", input="Hi", background=True) as stream:
        kinds = [event.type async for event in stream]
        response = await stream.get_final_response()
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert response.status == "completed"


@pytest.mark.parametrize("fault", ["cut", "reset", "eof"])
async def test_a_stream_that_was_lost_goes_on_after_any_number(openai: AsyncOpenAI, fault: str) -> None:
    model = f"{SLOW};fault={fault};after=10"
    got: list[Any] = []
    with contextlib.suppress(sdk.APIError):
        async for event in await openai.responses.create(model=model, input="Hi", background=True, stream=True):
            got.append(event)  # noqa: PERF401 # what came before the loss is to stay
    lost_at = got[-1].sequence_number
    rest = await openai.responses.retrieve(got[0].response.id, stream=True, starting_after=lost_at)
    got += [event async for event in rest]
    assert [event.sequence_number for event in got] == list(range(len(got)))
    assert got[-1].type == "response.completed"
    deltas = "".join(event.delta for event in got if event.type == "response.output_text.delta")
    assert deltas == got[-1].response.output_text


async def test_a_stream_is_replayed_from_the_start_and_then_live(
    openai: AsyncOpenAI, http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    first = await openai.responses.create(model=SLOW, input="Hi", background=True, stream=True)
    created = await anext(aiter(first))
    assert created.type == "response.created"
    bodies = list[bytes]()
    async with asyncio.TaskGroup() as readers:

        async def read() -> None:
            async with http.get(f"responses/{created.response.id}", params={"stream": "true"}) as answer:
                bodies.append(await answer.read())

        for _ in range(3):
            readers.create_task(read())
    whole = parse_sse(bodies[0])
    assert bodies[0] == bodies[1] == bodies[2]
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole[0] == created.to_dict()


async def test_generation_goes_on_when_the_client_is_gone(simulator: Simulator, openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model=SLOW, input="Hi", background=True, stream=True)
    async with stream:
        created = await anext(aiter(stream))
    assert created.type == "response.created"
    async with asyncio.timeout(5):
        await simulator.record.wait_for(lambda one: one.closed_at is not None)
    response = await until_ended(openai, created.response.id)
    assert response.status == "completed"
    assert response.usage.output_tokens == 60


async def test_as_many_connections_as_scripted_meet_the_fault(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    got: list[dict[str, Any]] = []
    request = {"model": "sim;tokens=30;fault=eof;after=10;cuts=2", "background": True, "stream": True}
    async with http.post("responses", json=request) as answer:
        got += parse_sse(await answer.read())
    lengths = [len(got)]
    while got[-1]["type"] != "response.completed":
        query = {"stream": "true", "starting_after": str(got[-1]["sequence_number"])}
        async with http.get(f"responses/{got[0]['response']['id']}", params=query) as answer:
            got += parse_sse(await answer.read())
        lengths.append(len(got))
    assert [event["sequence_number"] for event in got] == list(range(len(got)))
    deltas = [sum(event["type"] == "response.output_text.delta" for event in got[:length]) for length in lengths]
    assert deltas == [10, 20, 30]


async def test_a_request_for_another_stream_may_bring_its_own_fault(http: aiohttp.ClientSession) -> None:
    async with http.post("responses", json={"model": "sim", "background": True, "stream": True}) as answer:
        body = await answer.read()
    response_id = body.partition(b'"id":"')[2].partition(b'"')[0].decode()
    again = f"responses/{response_id}?stream=true"
    async with http.get(again, headers={"x-simulator-script": "fault=503"}) as answer:
        assert answer.status == 503
    async with http.get(again, headers={"x-simulator-script": "fault=rain"}) as answer:
        assert answer.status == 400


async def test_a_stamped_response_shows_the_stamps_that_were_sent_wherever_it_is_shown(openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(
        model="sim;stamp;tokens=9;reasoning=2;fault=eof;after=6", input="Hi", background=True, stream=True
    )
    got: list[Any] = [event async for event in stream]
    response_id, last = got[0].response.id, got[-1].sequence_number
    got += [event async for event in await openai.responses.retrieve(response_id, stream=True, starting_after=last)]
    text = "".join(event.delta for event in got if event.type == "response.output_text.delta")
    assert len(text) == 9 * 21
    assert got[-1].response.output_text == text
    assert (await openai.responses.retrieve(response_id)).output_text == text


async def test_the_sdks_helper_goes_on_with_a_response(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim;tokens=6", input="Hi", background=True, stream=True)
    created: Any = await anext(aiter(first))
    async with openai.responses.stream(response_id=created.response.id, starting_after=5) as stream:
        numbers = [event.sequence_number async for event in stream]
        response = await stream.get_final_response()
    assert numbers == list(range(6, numbers[-1] + 1))
    assert response.usage is not None
    assert response.usage.output_tokens == 6


async def test_an_error_of_the_answer_is_the_end_of_the_background_response(openai: AsyncOpenAI) -> None:
    model = "sim;tokens=9;fault=failed;after=3;cuts=9"
    stream: Any = await openai.responses.create(model=model, input="Hi", background=True, stream=True)
    first = [event async for event in stream]
    assert first[-1].response.error.code == "rate_limit_exceeded"
    response_id = first[-1].response.id
    assert (await until_ended(openai, response_id)).status == "failed"
    again: Any = await openai.responses.retrieve(response_id, stream=True)
    assert [event.to_dict() async for event in again] == [event.to_dict() for event in first]


async def test_a_cancelled_response_stays_where_it_was_and_its_streams_end(openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model="sim;rate=50;tokens=5000", input="Hi", background=True, stream=True)
    kinds: list[str] = []
    response_id = ""
    async with asyncio.timeout(5):
        async for event in stream:
            kinds.append(event.type)
            if event.type == "response.created":
                response_id = event.response.id
            if kinds.count("response.output_text.delta") == 3:
                cancelled = await openai.responses.cancel(response_id)
                assert cancelled.status == "cancelled"
    assert 3 <= kinds.count("response.output_text.delta") < 50
    assert (await openai.responses.retrieve(response_id)).status == "cancelled"
    assert (await openai.responses.cancel(response_id)).status == "cancelled"
    again = [event.type async for event in await openai.responses.retrieve(response_id, stream=True)]
    assert again[: len(kinds)] == kinds
    assert "response.completed" not in again


async def test_a_response_that_has_ended_is_not_cancelled_any_more(openai: AsyncOpenAI) -> None:
    queued = await openai.responses.create(model="sim", input="Hi", background=True)
    assert (await openai.responses.cancel(queued.id)).status == "completed"


async def test_only_background_responses_are_cancelled(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim", input="Hi")
    with pytest.raises(sdk.BadRequestError, match="Cannot cancel a synchronous response."):
        await openai.responses.cancel(response.id)


async def test_a_deleted_response_is_gone_and_its_streams_end(openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model="sim;rate=50;tokens=5000", input="Hi", background=True, stream=True)
    response_id = ""
    async with asyncio.timeout(5):
        async for event in stream:
            if event.type == "response.created":
                await openai.responses.delete(event.response.id)
                response_id = event.response.id
    with pytest.raises(sdk.NotFoundError, match=f"Response with id '{response_id}' not found"):
        await openai.responses.retrieve(response_id)


async def test_a_plain_response_is_kept_once_it_is_complete(simulator: Simulator, openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model=SLOW, input="Hi", stream=True)
    events = aiter(stream)
    created = await anext(events)
    assert created.type == "response.created"
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(created.response.id)
    rest = [event async for event in events]
    kept = await openai.responses.retrieve(created.response.id)
    assert rest[-1].type == "response.completed"
    assert kept.to_dict() == rest[-1].response.to_dict()
    with pytest.raises(sdk.BadRequestError, match="cannot be streamed"):
        await openai.responses.retrieve(created.response.id, stream=True)
    assert len(simulator.record) == 4


@pytest.mark.parametrize("fault", ["eof", "failed", ""])
async def test_a_plain_response_that_breaks_off_fails_or_is_not_to_be_stored_is_not_kept(
    http: aiohttp.ClientSession, parse_sse: Events, fault: str
) -> None:
    request = {"model": f"sim;fault={fault}" if fault else "sim", "stream": True, "store": bool(fault)}
    async with http.post("responses", json=request) as answer:
        events = parse_sse(await answer.read())
    async with http.get(f"responses/{events[0]['response']['id']}") as answer:
        assert answer.status == 404


async def test_a_stream_is_not_to_be_had_of_what_was_asked_for_in_one_piece(openai: AsyncOpenAI) -> None:
    queued = await openai.responses.create(model="sim", input="Hi", background=True)
    with pytest.raises(sdk.BadRequestError, match="cannot be streamed"):
        await openai.responses.retrieve(queued.id, stream=True)


async def test_background_without_storing_is_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        await openai.responses.create(model="sim", input="Hi", background=True, store=False)
    assert caught.value.param == "background"


async def test_a_wrong_starting_point_is_refused(openai: AsyncOpenAI, http: aiohttp.ClientSession) -> None:
    stream = await openai.responses.create(model="sim", input="Hi", background=True, stream=True)
    created = await anext(aiter(stream))
    assert created.type == "response.created"
    query = {"stream": "true", "starting_after": "soon"}
    async with http.get(f"responses/{created.response.id}", params=query) as answer:
        assert answer.status == 400


async def test_a_response_is_kept_for_as_long_as_scripted(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim;retention=0", input="Hi")
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(response.id)
    with pytest.raises(sdk.BadRequestError, match="not found"):
        await openai.responses.create(model="sim", input="Hi", previous_response_id=response.id)


# What depends on minutes is told by times that are given.


def stored(*, retention_s: float | None = None, number: int = 1) -> Stored:
    def event(number: int, kind: str, status: str) -> Frame:
        response = b'{"id":"resp_1","status":"%b","output":[]}' % status.encode()
        return Frame(
            kind.encode(), b'{"type":"%b","sequence_number":%d,"response":%b}' % (kind.encode(), number, response)
        )

    events = [
        (0.0, event(0, "response.created", "queued")),
        (1.0, event(1, "response.in_progress", "in_progress")),
        (2.0, event(2, "response.completed", "completed")),
    ]
    generation = Generation(events, Script(fault=Fault.CUT, cuts=0), streamed=True)
    kept = Kept(id=f"resp_{number}", conversation=(), final=dict, retention_s=retention_s, generation=generation)
    return Stored(kept=kept, stem="0" * 20, started=100.0)


def test_time_alone_moves_a_background_response() -> None:
    response = stored()
    assert [response.resource(now)["status"] for now in (100.0, 101.5, 102.0)] == ["queued", "in_progress", "completed"]


def test_a_response_can_be_streamed_again_for_five_minutes() -> None:
    response = stored()
    plan = stream_again(response, query={}, script=None, now=399.0, error=openai_error)
    assert [write.at_s for write in plan.writes] == [0.0, 1.0, 2.0]
    with pytest.raises(RefusedError, match="more than 5 minutes old"):
        stream_again(response, query={}, script=None, now=401.0, error=openai_error)
    assert recall(response, now=401.0).status == 200


def test_cancelling_stops_the_clock_of_a_response() -> None:
    response = stored()
    cancel(response, now=101.5)
    assert response.resource(500.0)["status"] == "cancelled"
    plan = stream_again(response, query={"starting_after": "0"}, script=None, now=150.0, error=openai_error)
    assert [write.at_s for write in plan.writes] == [1.0]


def test_the_store_forgets_by_age_and_by_number() -> None:
    store = ResponseStore(2)
    for number in (1, 2, 3):
        store.add(stored(number=number, retention_s=10))
    assert len(store) == 2
    assert store.get("resp_1", now=100.0) is None
    assert store.get("resp_3", now=109.0) is not None
    assert store.get("resp_3", now=111.0) is None
    assert len(store) == 1
