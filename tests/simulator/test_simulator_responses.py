"""The Responses API, through the real client and its strict types."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tokenbus_simulator import Simulator

Events = Callable[[bytes], list[dict[str, Any]]]

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
EVERYTHING = 'sim;reasoning=5;summary=4;text=A%3B%40 "B" ü.;call=get_weather({"city":"Oslo"});call=get_time'
OPEN_RESPONSES_REQUIRED = {  # the Response resource of 2026-04-24
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
}


@pytest.mark.parametrize(
    "model",
    ["gpt-4.1-mini", "sim-echo", "sim-refusal", "sim-reasoning", "sim;finish=length", "sim;tokens=0", EVERYTHING],
)
async def test_every_event_parses_strictly_and_is_numbered_from_zero(
    http: aiohttp.ClientSession, parse_sse: Events, model: str
) -> None:
    request = {"model": model, "input": "Hi", "stream": True, "include": ["message.output_text.logprobs"]}
    async with http.post("responses", json={**request, "top_logprobs": 2, "tools": [WEATHER]}) as answer:
        body = await answer.read()
        assert answer.content_type == "text/event-stream"
    events = parse_sse(body)
    for event in events:
        EVENT.validate_python(event)
        if "response" in event:
            Response.model_validate(event["response"])
            assert set(event["response"]) >= OPEN_RESPONSES_REQUIRED
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line[7:].decode() for line in body.split(b"\n") if line.startswith(b"event: ")]
    assert names == [event["type"] for event in events]
    assert b"[DONE]" not in body


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "sim-refusal", "sim-reasoning", EVERYTHING])
async def test_the_sdks_accumulator_takes_the_stream_and_ends_with_the_plain_answer(
    openai: AsyncOpenAI, model: str
) -> None:
    async with openai.responses.stream(model=model, input="Hi") as stream:
        streamed = await stream.get_final_response()
    plain = await openai.responses.create(model=model, input="Hi")
    assert streamed.output_text == plain.output_text
    assert [item.type for item in streamed.output] == [item.type for item in plain.output]
    assert streamed.usage == plain.usage
    assert streamed.id != plain.id


async def test_a_plain_answer_parses_strictly_and_repeats_the_request(http: aiohttp.ClientSession) -> None:
    request = {
        "model": "gpt-4.1-mini",
        "instructions": "Be short.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Where is Oslo?"}]}],
        "tools": [{"type": "function", "name": "get_time"}, {"type": "web_search"}],
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "max_output_tokens": 200,
    }
    async with http.post("responses", json=request) as answer:
        body = await answer.json()
    response = Response.model_validate(body)
    assert set(body) >= OPEN_RESPONSES_REQUIRED
    assert "Where is Oslo?" in response.output_text
    assert (response.instructions, response.metadata, response.temperature) == ("Be short.", {"a": "b"}, 0.5)
    function, search = body["tools"]
    assert function == {"type": "function", "name": "get_time", "description": None, "parameters": None, "strict": True}
    assert search == {"type": "web_search"}
    assert response.id.startswith("resp_")
    assert response.output[0].id is not None
    assert response.output[0].id.startswith("msg_")


async def test_reasoning_is_an_item_of_its_own_before_the_answer(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim;reasoning=5;summary=4;tokens=3", input="Hi")
    reasoning, message = response.output
    assert reasoning.type == "reasoning"
    assert message.type == "message"
    assert reasoning.id.startswith("rs_")
    assert len(reasoning.summary) == 1
    assert len(reasoning.content or ()) == 1
    assert response.usage is not None
    assert response.usage.output_tokens == 12
    assert response.usage.output_tokens_details.reasoning_tokens == 9


async def test_parallel_calls_stream_their_arguments_under_their_own_items(openai: AsyncOpenAI) -> None:
    arguments: dict[int, str] = {}
    model = 'sim;call=get_weather({"city":"Oslo"});call=get_weather({"city":"Bergen"})'
    async with openai.responses.stream(model=model, input="Hi") as stream:
        async for event in stream:
            if event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
        response = await stream.get_final_response()
    assert arguments == {0: '{"city":"Oslo"}', 1: '{"city":"Bergen"}'}
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == list(arguments.values())
    assert len({call.call_id for call in calls}) == 2
    assert all(call.call_id.startswith("call_") and (call.id or "").startswith("fc_") for call in calls)


async def test_naming_a_tool_calls_it_and_its_output_is_answered_in_words(openai: AsyncOpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "Please use get_weather for me."}]
    first = await openai.responses.create(model="gpt-4.1-mini", input=said, tools=[WEATHER])  # pyright: ignore[reportArgumentType] # a plain dict
    [call] = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("get_weather", '{"city":"example"}')
    said += [call, {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 20 °C"}]
    second = await openai.responses.create(model="gpt-4.1-mini", input=said, tools=[WEATHER])  # pyright: ignore[reportArgumentType] # a plain dict
    assert "Sunny, 20 °C" in second.output_text


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "get_weather"}, ["get_weather"]),
        ("auto", []),
    ],
)
async def test_tool_choice_is_obeyed(http: aiohttp.ClientSession, choice: object, called: list[str]) -> None:
    request = {"model": "gpt-4.1-mini", "input": "Hello", "tools": [WEATHER], "tool_choice": choice}
    async with http.post("responses", json=request) as answer:
        output = (await answer.json())["output"]
    assert [item["name"] for item in output if item["type"] == "function_call"] == called


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_an_incomplete_answer_says_why_and_keeps_usage(openai: AsyncOpenAI, finish: str, reason: str) -> None:
    stream = await openai.responses.create(model=f"sim;tokens=8;finish={finish}", input="Hi", stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == reason
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 8
    assert last.response.output[-1].type == "message"
    assert last.response.output[-1].status == "incomplete"


async def test_the_requests_token_limit_cuts_the_answer(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim;tokens=100", input="Hi", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.usage is not None
    assert response.usage.output_tokens == 16


async def test_log_probabilities_come_only_when_included(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    lists: list[list[Any]] = []
    for include in ([], ["message.output_text.logprobs"]):
        request = {"model": "sim;tokens=2", "stream": True, "include": include, "top_logprobs": 3}
        async with http.post("responses", json=request) as answer:
            events = parse_sse(await answer.read())
        lists.append([event["logprobs"] for event in events if event["type"] == "response.output_text.delta"])
    assert lists[0] == [[], []]
    assert [len(entry[0]["top_logprobs"]) for entry in lists[1]] == [3, 3]


async def test_obfuscation_comes_only_when_asked_for(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    padded: list[bool] = []
    for options in ({}, {"include_obfuscation": True}):
        async with http.post("responses", json={"model": "sim", "stream": True, "stream_options": options}) as answer:
            events = parse_sse(await answer.read())
        padded.append(any("obfuscation" in event for event in events))
    assert padded == [False, True]


async def test_the_same_seed_gives_the_same_answers_and_another_seed_other_ids() -> None:
    async def output_of(seed: str) -> list[dict[str, Any]]:
        async with (
            Simulator(seed=seed) as simulator,
            aiohttp.ClientSession() as session,
            session.post(f"{simulator.base_url}/responses", json={"model": EVERYTHING}) as answer,
        ):
            return (await answer.json())["output"]

    once, again, other = await output_of("a"), await output_of("a"), await output_of("b")
    assert once == again
    assert [item["id"] for item in once] != [item["id"] for item in other]
    assert [item.get("content") for item in once] == [item.get("content") for item in other]


async def test_models_are_listed(openai: AsyncOpenAI) -> None:
    names = [model.id async for model in openai.models.list()]
    assert {"gpt-4.1-mini", "sim-echo", "sim-429"} <= set(names)
