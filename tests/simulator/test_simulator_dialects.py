"""What each provider's chunks are known for, beside what all of them have in common."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.chat import ChatCompletion

from tokenbus_simulator import Simulator

Events = Callable[[bytes], list[dict[str, Any]]]
Ask = Callable[..., Awaitable[tuple[int, bytes]]]

USER = {"role": "user", "content": "Hi"}
FUNCTION = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
RICH = 'sim;reasoning=3;text=A "B" ü.;call=get_time({"zone":"UTC"});call=get_time'


async def chunks_of(
    ask_provider: Ask, parse_sse: Events, profile: str, *, script: str, **fields: object
) -> list[dict[str, Any]]:
    status, body = await ask_provider(profile, {"model": script, "messages": [USER], "stream": True, **fields})
    assert status == 200, body
    return parse_sse(body)


async def test_groq_tells_usage_inside_x_groq_and_beside_it(ask_provider: Ask, parse_sse: Events) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, "groq", script=RICH)
    assert set(chunks[0]["x_groq"]) == {"id", "seed"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["x_groq"]["usage"] == chunks[-1]["usage"]
    assert "queue_time" in chunks[-1]["usage"]
    assert "prompt_tokens_details" not in chunks[-1]["usage"]
    assert not any("usage" in chunk for chunk in chunks[:-1])


@pytest.mark.parametrize("profile", ["groq", "xai"])
async def test_groq_and_xai_send_a_tool_call_in_one_chunk(ask_provider: Ask, parse_sse: Events, profile: str) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, profile, script=RICH)
    calls = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert [call["function"]["arguments"] for call in calls] == ['{"zone":"UTC"}', "{}"]
    assert all(call["id"] for call in calls)


@pytest.mark.parametrize(
    ("profile", "key"),
    [("groq", "reasoning"), ("cerebras", "reasoning"), ("deepseek", "reasoning_content"), ("xai", "reasoning_content")],
)
async def test_reasoning_stands_where_the_provider_puts_it(
    ask_provider: Ask, parse_sse: Events, profile: str, key: str
) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, profile, script=RICH)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert sum(key in delta for delta in deltas) == 3
    _, body = await ask_provider(profile, {"model": RICH, "messages": [USER]})
    assert key in ChatCompletion.model_validate_json(body).choices[0].message.to_dict()


@pytest.mark.parametrize("profile", ["deepseek", "fireworks", "together"])
async def test_some_tell_usage_unasked_in_the_last_chunk_with_a_choice(
    ask_provider: Ask, parse_sse: Events, profile: str
) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, profile, script="sim;text=A B")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert all(chunk["choices"] for chunk in chunks)
    assert (chunks[-1]["choices"][0]["delta"].get("content") == " B") == (profile == "together")


async def test_xai_tells_usage_unasked_and_counts_reasoning_apart(ask_provider: Ask, parse_sse: Events) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, "xai", script="sim;reasoning=5;text=A B")
    usage = chunks[-1]["usage"]
    assert chunks[-1]["choices"] == []
    assert usage["completion_tokens"] == 2
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 7
    assert "finish_reason" not in chunks[0]["choices"][0]


async def test_perplexity_tells_sources_and_running_usage_in_every_chunk(ask_provider: Ask, parse_sse: Events) -> None:
    chunks = await chunks_of(ask_provider, parse_sse, "perplexity", script="sim;text=A B C")
    assert all(chunk["citations"] and chunk["search_results"][0]["url"] for chunk in chunks)
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks[-4:]] == [1, 2, 3, 3]
    assert chunks[-1]["object"] == "chat.completion.done"
    assert all(chunk["choices"][0]["delta"]["role"] == "assistant" for chunk in chunks)


async def test_cerebras_tells_times_beside_usage(ask_provider: Ask, parse_sse: Events) -> None:
    options = {"include_usage": True}
    chunks = await chunks_of(ask_provider, parse_sse, "cerebras", script="sim", stream_options=options)
    assert set(chunks[-1]["time_info"]) == {"queue_time", "prompt_time", "completion_time", "total_time"}
    assert not any("time_info" in chunk for chunk in chunks[:-1])


async def test_deepseek_thinks_unless_told_not_to_and_gives_one_answer(ask_provider: Ask) -> None:
    request: dict[str, Any] = {"model": "deepseek-v4-pro", "messages": [USER], "n": 3}
    _, body = await ask_provider("deepseek", request)
    thinking = ChatCompletion.model_validate_json(body)
    _, body = await ask_provider("deepseek", {**request, "thinking": {"type": "disabled"}})
    quiet = ChatCompletion.model_validate_json(body)
    assert len(thinking.choices) == 1
    assert "reasoning_content" in thinking.choices[0].message.to_dict()
    assert "reasoning_content" not in quiet.choices[0].message.to_dict()


async def test_deepseeks_tool_loop_needs_its_thoughts_back(simulator: Simulator) -> None:
    base_url = simulator.base_urls["deepseek"]
    async with AsyncOpenAI(base_url=base_url, api_key="sk-secret", max_retries=0) as client:
        said: list[Any] = [{"role": "user", "content": "Use get_time."}]
        tools: Any = [FUNCTION]
        first = await client.chat.completions.create(model="deepseek-v4-pro", messages=said, tools=tools)
        message: Any = first.choices[0].message.to_dict()
        said += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Noon"}]
        second = await client.chat.completions.create(model="deepseek-v4-pro", messages=said, tools=tools)
        assert "Noon" in (second.choices[0].message.content or "")
        del message["reasoning_content"]
        with pytest.raises(BadRequestError, match="must be passed back"):
            await client.chat.completions.create(model="deepseek-v4-pro", messages=said, tools=tools)
