"""The Chat Completions API, through the real client and its strict types."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, LengthFinishReasonError
from openai.types.chat import ChatCompletion, ChatCompletionChunk

Events = Callable[[bytes], list[dict[str, Any]]]

HELLO: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}]
WEATHER: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
EVERYTHING = 'sim;reasoning=5;text=A "B" ü.;call=get_weather({"city":"Oslo"});call=get_time'


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "sim-refusal", "sim-reasoning", "sim;tokens=0", EVERYTHING])
@pytest.mark.parametrize("n", [1, 3])
async def test_every_chunk_parses_strictly_and_done_ends_the_stream(
    http: aiohttp.ClientSession, parse_sse: Events, model: str, n: int
) -> None:
    request = {"model": model, "messages": HELLO, "stream": True, "n": n, "logprobs": True, "top_logprobs": 2}
    async with http.post("chat/completions", json={**request, "stream_options": {"include_usage": True}}) as answer:
        body = await answer.read()
        assert answer.content_type == "text/event-stream"
    chunks = [ChatCompletionChunk.model_validate(chunk) for chunk in parse_sse(body)]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].id.startswith("chatcmpl-")
    finished = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert finished == list(range(n))
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert body.endswith(b"data: [DONE]\n\n")
    assert b"event:" not in body


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "sim-refusal", EVERYTHING])
async def test_the_sdks_accumulator_ends_with_the_plain_answer(openai: AsyncOpenAI, model: str) -> None:
    options: Any = {"include_usage": True}
    async with openai.chat.completions.stream(model=model, messages=HELLO, stream_options=options) as stream:
        streamed = await stream.get_final_completion()
    plain = await openai.chat.completions.create(model=model, messages=HELLO)
    left, right = streamed.choices[0], plain.choices[0]
    assert left.message.content == right.message.content
    assert left.message.refusal == right.message.refusal
    assert left.finish_reason == right.finish_reason
    assert [call.function.arguments for call in left.message.tool_calls or ()] == [
        call.function.arguments for call in right.message.tool_calls or () if call.type == "function"
    ]
    assert streamed.usage == plain.usage


async def test_a_plain_answer_parses_strictly_and_refers_to_the_user(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json={"model": "gpt-4.1-mini", "messages": HELLO}) as answer:
        completion = ChatCompletion.model_validate(await answer.json())
    [choice] = completion.choices
    assert choice.finish_reason == "stop"
    assert "Hello there" in (choice.message.content or "")


async def test_parallel_calls_are_told_apart_by_index_and_only_the_first_fragment_names_them(
    openai: AsyncOpenAI,
) -> None:
    fragments: dict[int, list[Any]] = {}
    stream = await openai.chat.completions.create(model=EVERYTHING, messages=HELLO, stream=True)
    async for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or ():
            fragments.setdefault(call.index, []).append(call)
    names = [[call.function.name for call in calls if call.function.name] for calls in fragments.values()]
    assert names == [["get_weather"], ["get_time"]]
    assert [sum(call.id is not None for call in calls) for calls in fragments.values()] == [1, 1]
    arguments = ["".join(call.function.arguments for call in calls) for calls in fragments.values()]
    assert arguments == ['{"city":"Oslo"}', "{}"]


async def test_without_parallel_calls_only_the_first_is_made(openai: AsyncOpenAI) -> None:
    completion = await openai.chat.completions.create(
        model="sim;call=a;call=b", messages=HELLO, tools=[WEATHER], parallel_tool_calls=False
    )
    [call] = completion.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "a"
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_calls_are_made_for_as_many_rounds_as_scripted(openai: AsyncOpenAI) -> None:
    said = list(HELLO)
    reasons: list[str] = []
    for _ in range(3):
        completion = await openai.chat.completions.create(model="sim;call=get_weather;rounds=2", messages=said)
        reasons.append(completion.choices[0].finish_reason)
        calls = completion.choices[0].message.tool_calls or ()
        said.append(completion.choices[0].message)
        said += [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in calls]
    assert reasons == ["tool_calls", "tool_calls", "stop"]


async def test_choices_differ_and_are_all_counted(openai: AsyncOpenAI) -> None:
    one = await openai.chat.completions.create(model="gpt-4.1-mini", messages=HELLO)
    two = await openai.chat.completions.create(model="gpt-4.1-mini", messages=HELLO, n=2)
    assert two.choices[0].message.content == one.choices[0].message.content
    assert two.choices[1].message.content != one.choices[0].message.content
    assert one.usage is not None
    assert two.usage is not None
    assert two.usage.completion_tokens > 2 * one.usage.completion_tokens


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_finish_reasons_are_as_scripted(openai: AsyncOpenAI, finish: str) -> None:
    completion = await openai.chat.completions.create(model=f"sim;tokens=4;finish={finish}", messages=HELLO)
    assert completion.choices[0].finish_reason == finish


async def test_the_sdks_accumulator_sees_the_token_limit(openai: AsyncOpenAI) -> None:
    stream = openai.chat.completions.stream(model="sim;tokens=9", messages=HELLO, max_completion_tokens=4)
    with pytest.raises(LengthFinishReasonError):
        async with stream as entered:
            await entered.get_final_completion()


async def test_reasoning_comes_as_reasoning_content(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    request: dict[str, Any] = {"model": "sim;reasoning=3;text=Yes.", "messages": HELLO}
    async with http.post("chat/completions", json={**request, "stream": True}) as answer:
        deltas = [chunk["choices"][0]["delta"] for chunk in parse_sse(await answer.read())]
    async with http.post("chat/completions", json=request) as answer:
        message = (await answer.json())["choices"][0]["message"]
    streamed = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert streamed == message["reasoning_content"]
    assert message["content"] == "Yes."


async def test_usage_has_all_details_even_where_they_are_zero(openai: AsyncOpenAI) -> None:
    usage = (await openai.chat.completions.create(model="sim;tokens=4", messages=HELLO)).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 0
    assert usage.total_tokens == usage.prompt_tokens + 4


async def test_obfuscation_comes_only_when_asked_for(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    padded: list[list[int]] = []
    for options in ({}, {"include_obfuscation": True}):
        request = {"model": "sim;tokens=4", "messages": HELLO, "stream": True, "stream_options": options}
        async with http.post("chat/completions", json=request) as answer:
            chunks = parse_sse(await answer.read())
        padded.append(
            [
                len(chunk["choices"][0]["delta"]["content"] + chunk["obfuscation"])
                for chunk in chunks
                if "obfuscation" in chunk
            ]
        )
    assert padded == [[], [16, 16, 16, 16]]
