"""OpenAI's own clients before the whole running system: they must notice no difference."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from itertools import count
from typing import Any, cast

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.e2e.conftest import RunningTokenbus

Json = dict[str, Any]
MODEL = "openai/sim@tokens:12"
CALLING = "openai/sim@call:get_weather@call:get_date"
TOOL: Json = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CHAT_TOOLS: Any = [
    {"type": "function", "function": TOOL},
    {"type": "function", "function": {"name": "get_date", "parameters": {"type": "object", "properties": {}}}},
]
RESPONSES_TOOLS: Any = [{"type": "function", "strict": False, **tool["function"]} for tool in CHAT_TOOLS]
MESSAGES: Any = [{"role": "user", "content": "Hello there."}]


class City(BaseModel):
    """What a structured answer holds."""

    name: str
    people: int


@pytest.fixture
def client(gateway_url: str) -> Generator[OpenAI]:
    with OpenAI(base_url=gateway_url, api_key="any", max_retries=0, timeout=20) as opened:
        yield opened


@pytest.fixture
async def aclient(gateway_url: str) -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway_url, api_key="any", max_retries=0, timeout=20) as opened:
        yield opened


def test_a_response(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hello there.")
    assert response.id == f"resp_{response._request_id}"  # pyright: ignore[reportPrivateUsage]  its documented name
    assert (response.status, response.model) == ("completed", MODEL)
    assert response.usage is not None
    assert response.usage.output_tokens == 12
    assert response.output_text


def test_a_response_stream_in_order_and_with_one_identity(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="Hello there.", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) == 12
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "".join(deltas)
    assert len({event.response.id for event in loose(events) if hasattr(event, "response")}) == 1


def test_the_response_stream_helper_accumulates_the_same(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Hello there.") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text != ""


def test_a_stored_stream_is_resumed_by_the_helper(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hello there.")
    with client.responses.stream(response_id=response.id, starting_after=7) as stream:
        numbers = [event.sequence_number for event in stream]
        assert stream.get_final_response().output_text == response.output_text
    assert numbers == list(range(8, numbers[-1] + 1))
    assert client.responses.retrieve(response.id) == response


def test_function_calls_of_a_response(client: OpenAI) -> None:
    response = client.responses.create(model=CALLING, input="Weather?", tools=RESPONSES_TOOLS)
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, list(json.loads(call.arguments))) for call in calls] == [
        ("get_weather", ["city"]),
        ("get_date", []),
    ]


def test_a_chat_completion(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert completion.id == f"chatcmpl-{completion._request_id}"  # pyright: ignore[reportPrivateUsage]
    assert (completion.model, completion.object) == (MODEL, "chat.completion")
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 12


def test_a_chat_stream_has_one_id_a_role_a_finish_and_usage_last(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == 12


def test_a_chat_stream_tells_no_usage_unless_asked(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_chat_stream_helper_accumulates_tool_calls(client: OpenAI) -> None:
    with client.chat.completions.stream(model=CALLING, messages=MESSAGES, tools=CHAT_TOOLS) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(model=CALLING, messages=MESSAGES, tools=CHAT_TOOLS).choices[0]
    for found in (choice, whole):
        assert found.finish_reason == "tool_calls"
        calls: Any = found.message.tool_calls
        assert [(call.function.name, list(json.loads(call.function.arguments))) for call in calls] == [
            ("get_weather", ["city"]),
            ("get_date", []),
        ]
        assert len({call.id for call in calls}) == 2


def test_several_choices_and_log_probabilities(client: OpenAI) -> None:
    wanted: Any = {"n": 3, "logprobs": True, "top_logprobs": 2, "extra_body": {"tokenbus": {"api": "chat_completions"}}}
    completion = cast("ChatCompletion", client.chat.completions.create(model=MODEL, messages=MESSAGES, **wanted))
    plain = loose(completion.choices)
    assert [choice.index for choice in plain] == [0, 1, 2]
    seen: dict[int, str] = {}
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, **wanted) as stream:
        for event in stream:
            if event.type == "chunk":
                for choice in event.chunk.choices:
                    seen[choice.index] = seen.get(choice.index, "") + (choice.delta.content or "")
        final = loose(stream.get_final_completion().choices)
    assert {choice.index: choice.message.content for choice in final} == seen
    for choice in (*final, *plain):
        tokens = choice.logprobs.content
        assert "".join(token.token for token in tokens) == choice.message.content
        assert len(tokens[0].top_logprobs) == 2


def test_a_length_limit_is_a_finish_reason_and_usage_is_kept(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="openai/sim@tokens:60", messages=MESSAGES, max_completion_tokens=20
    )
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    response = client.responses.create(model="openai/sim@tokens:60", input="x", max_output_tokens=20)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_structured_answers_are_parsed(client: OpenAI) -> None:
    response = client.responses.parse(model="openai/sim", input="x", text_format=City)
    assert isinstance(response.output_parsed, City)
    completion = client.chat.completions.parse(model="openai/sim", messages=MESSAGES, response_format=City)
    assert isinstance(completion.choices[0].message.parsed, City)


_FRESH = count(100)
"""For model names that no test used before: a target that failed cools down."""

ERRORS: list[tuple[str, type[openai.APIStatusError], int, str]] = [
    ("nobody/knows-it", openai.NotFoundError, 404, "model_not_found"),
    ("openai/sim-429@retry:0@tokens:{}", openai.RateLimitError, 429, "upstream_rate_limit"),
    ("openai/sim-500@tokens:{}", openai.InternalServerError, 502, "upstream_"),
    ("openai/sim-401@tokens:{}", openai.InternalServerError, 502, "upstream_authentication"),
]


@pytest.mark.parametrize(("model", "kind", "status", "code"), ERRORS)
@pytest.mark.parametrize("stream", [True, False])
def test_errors_are_openais_before_a_stream_and_without_one(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], status: int, code: str, stream: bool
) -> None:
    asks: list[Callable[[str], object]] = [
        lambda name: client.responses.create(model=name, input="x", stream=stream),
        lambda name: client.chat.completions.create(model=name, messages=MESSAGES, stream=stream),
    ]
    for ask in asks:
        with pytest.raises(kind) as caught:
            ask(model.format(next(_FRESH)))
        assert caught.value.status_code == status
        assert (caught.value.code or "").startswith(code)
        assert caught.value.request_id


def test_a_cut_provider_stream_is_an_error_after_the_text(client: OpenAI) -> None:
    model = "openai/sim@tokens:30@fault:cut@after:10"
    chunks: Any = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
    seen, error = until_error(chunks)
    assert sum(bool(chunk.choices[0].delta.content) for chunk in seen) == 10
    assert "provider" in error.message
    events: Any = client.responses.create(model=model, input="x", stream=True)
    seen, error = until_error(events)
    assert [event.type for event in seen].count("response.output_text.delta") == 10
    assert "provider" in error.message


def test_the_models_are_listed(client: OpenAI) -> None:
    assert "openai/gpt-4.1-mini" in {model.id for model in client.models.list()}
    assert client.models.retrieve("openai/gpt-4.1-mini").owned_by == "openai"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/knows-it")


def test_an_unknown_response_is_not_found(client: OpenAI) -> None:
    for call in (client.responses.retrieve, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            call("resp_nobody")


def test_compacting_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="compacting is not supported yet"):
        client.responses.compact(model=MODEL, input="x")


def test_a_deleted_response_is_not_found(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hello there.")
    client.responses.delete(response.id)
    calls: list[Callable[[str], object]] = [
        client.responses.retrieve,
        client.responses.delete,
        client.responses.cancel,
        client.responses.input_items.list,
        lambda wanted: list(client.responses.retrieve(wanted, stream=True)),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{response.id}' not found"):
            call(response.id)
    unstored = client.responses.create(model=MODEL, input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unstored.id)


async def test_input_items_are_listed_over_all_pages(aclient: AsyncOpenAI) -> None:
    first = await aclient.responses.create(model="openai/sim-echo", input="one")
    items: Any = [{"role": "user", "content": str(number)} for number in range(5)]
    second = await aclient.responses.create(model="openai/sim-echo", input=items, previous_response_id=first.id)
    pages = aclient.responses.input_items.list(second.id, limit=3, order="asc")
    texts = [loose(item.content)[0].text async for item in pages if item.type == "message"]
    assert texts == ["one", "one", "0", "1", "2", "3", "4"]


def test_a_conversation_goes_on_from_a_stored_response(client: OpenAI) -> None:
    first = client.responses.create(model="openai/sim-echo", input="one")
    second = client.responses.create(model="openai/sim-echo", input="two", previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("two", first.id)
    unstored = client.responses.create(model="openai/sim-echo", input="three", store=False)
    for unknown in (unstored.id, "resp_nobody"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="openai/sim-echo", input="x", previous_response_id=unknown)
        assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
        assert f"Previous response with id '{unknown}' not found." in str(caught.value)


def test_a_background_response_is_queued_at_once_and_polled(client: OpenAI) -> None:
    response = client.responses.create(model="openai/sim@tokens:12@rate:100", input="x", background=True)
    assert (response.status, response.background, response.output) == ("queued", True, [])
    deadline = time.monotonic() + 20
    while client.responses.retrieve(response.id).status in ("queued", "in_progress"):
        assert time.monotonic() < deadline
    ended = client.responses.retrieve(response.id)
    assert (ended.status, bool(ended.output_text)) == ("completed", True)
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.create(model=MODEL, input="x", background=True, store=False)


async def test_a_background_stream_is_left_and_resumed_anywhere(aclient: AsyncOpenAI) -> None:
    stream = await aclient.responses.create(
        model="openai/sim@tokens:40@rate:40", input="x", background=True, stream=True
    )
    events: list[Any] = []
    async for event in stream:
        events.append(event)
        if len(events) == 9:
            break
    await stream.close()
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    response_id = events[0].response.id
    rest = await aclient.responses.retrieve(response_id, stream=True, starting_after=events[-1].sequence_number)
    events += [event async for event in rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    async with aclient.responses.stream(response_id=response_id) as helper:
        assert (await helper.get_final_response()).output_text == events[-1].response.output_text


async def test_a_cancel_ends_a_running_stream(aclient: AsyncOpenAI) -> None:
    stream = await aclient.responses.create(model="openai/sim@tokens:5000@rate:50", input="x", stream=True)
    first: Any = await anext(stream)
    async with asyncio.timeout(5):
        cancelled = await aclient.responses.cancel(first.response.id)
        seen: list[Any] = [event async for event in stream]
    assert cancelled.status == "cancelled"
    assert (seen[-1].type, seen[-1].response.status) == ("response.incomplete", "cancelled")


def loose(values: object) -> list[Any]:
    """For fields that only some of the SDK's types have."""
    return list(cast("list[Any]", values))


def until_error(stream: Iterator[Any]) -> tuple[list[Any], openai.APIError]:
    """What a stream gave before it raised."""
    seen: list[Any] = []
    try:
        seen.extend(stream)
    except openai.APIError as error:
        return seen, error
    raise AssertionError("the stream ended without an error")


async def test_leaving_a_stream_closes_the_providers_connection(aclient: AsyncOpenAI, running: RunningTokenbus) -> None:
    stream = await aclient.chat.completions.create(
        model="openai/sim@tokens:5000@rate:50", messages=[{"role": "user", "content": "leave-me"}], stream=True
    )
    await anext(stream)
    left_at = time.time()
    await stream.close()
    url = f"{running.simulator_url.removesuffix('/v1')}/_sim/requests"
    async with asyncio.timeout(3), aiohttp.ClientSession() as http:
        closed_at: float | None = None
        while closed_at is None:
            async with http.get(url) as reply:
                received: list[Json] = await reply.json()
            closed_at = next(one["closed_at"] for one in received if "leave-me" in str(one["body"]))
    assert closed_at - left_at < 1.0


async def test_a_hundred_streams_at_once(aclient: AsyncOpenAI) -> None:
    async def text(number: int) -> str:
        stream = await aclient.chat.completions.create(
            model="openai/sim-echo@rate:200",
            messages=[{"role": "user", "content": f"say number {number}"}],
            stream=True,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(text(number)) for number in range(100)]
    assert [answer.result() for answer in answers] == [f"say number {number}" for number in range(100)]


async def test_a_websocket_conversation(aclient: AsyncOpenAI) -> None:
    async with aclient.responses.connect() as connection:
        await connection.response.create(model="openai/sim-echo", input="first words")
        first: Any = None
        async for event in connection:
            if event.type == "response.completed":
                first = event.response
                break
        await connection.response.create(
            model="openai/sim-echo", input="second words", previous_response_id=first.id, store=False
        )
        types: list[str] = []
        async for event in connection:
            types.append(event.type)
            if event.type == "response.completed":
                assert event.response.output_text == "second words"
                assert event.response.previous_response_id == first.id
                break
        await connection.response.create(model="nobody/knows-it", input="x")
        error: Any = await connection.recv()
    assert types[0] == "response.created"
    assert (error.type, error.status, error.error.code) == ("error", 404, "model_not_found")


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning")  # openai 3.54
def test_a_websocket_conversation_without_asyncio(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input="hi")
        for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text
                break
