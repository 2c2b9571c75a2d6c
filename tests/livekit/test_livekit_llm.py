"""`tokenbus_livekit.LLM` under LiveKit's own machinery, before the whole running system."""

import asyncio
import json
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any, NamedTuple

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError, llm

from tests.e2e.conftest import RunningTokenbus
from tests.toolkit.conftest import hosted
from tokenbus import Client
from tokenbus_livekit import LLM
from tokenbus_schemas import DEFAULT_ROOT
from tokenbus_toolkit import tool

ONCE = APIConnectOptions(max_retry=0, timeout=20)
_FRESH = count(9000)
"""Tokens of scripted names: one that failed before is cooling down."""


class Answer(NamedTuple):
    """What an agent gets of one answer."""

    pieces: list[str]
    calls: list[llm.FunctionToolCall]
    usage: llm.CompletionUsage | None
    ids: set[str]
    kinds: str
    """t: text, c: calls, u: usage; in order."""


def asked(*messages: tuple[llm.ChatRole, str]) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    for role, text in messages or (("user", "hi"),):
        context.add_message(role=role, content=text)
    return context


async def answer_of(stream: llm.LLMStream) -> Answer:
    pieces: list[str] = []
    calls: list[llm.FunctionToolCall] = []
    usage: llm.CompletionUsage | None = None
    ids: set[str] = set()
    kinds = ""
    async with stream:
        async for chunk in stream:
            ids.add(chunk.id)
            if chunk.usage is not None:
                usage, kinds = chunk.usage, f"{kinds}u"
            elif chunk.delta is not None and chunk.delta.tool_calls:
                calls += chunk.delta.tool_calls
                kinds += "c"
            elif chunk.delta is not None:
                assert chunk.delta.role == "assistant"
                pieces.append(chunk.delta.content or "")
                kinds += "t"
    return Answer(pieces, calls, usage, ids, kinds)


@llm.function_tool
async def get_weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


async def test_text_comes_in_pieces_then_usage_under_the_responses_id(client: Client) -> None:
    got = await answer_of(LLM("openai/sim@tokens:12@rate:200", client=client).chat(chat_ctx=asked()))
    assert len(got.pieces) > 1
    assert got.kinds == "t" * len(got.pieces) + "u"
    assert got.usage is not None
    assert (got.usage.completion_tokens, got.usage.total_tokens) == (12, 12 + got.usage.prompt_tokens)
    (identity,) = got.ids
    async with client.attach(identity.removeprefix("resp_")) as stored:
        assert (await stored.response()).output_text == "".join(got.pieces)


async def test_messages_parameters_and_tool_choice_reach_the_provider_as_they_were_given(client: Client) -> None:
    model = LLM("openai/sim-echo", client=client, params={"temperature": 0.5})
    context = asked(("system", "Be brief."), ("user", "first"), ("assistant", "yes"), ("user", "what I said"))
    got = await answer_of(model.chat(chat_ctx=context, tools=[get_weather], tool_choice="none"))
    assert "".join(got.pieces) == "what I said"
    async with client.attach(got.ids.pop().removeprefix("resp_")) as stored:
        response = await stored.response()
    extra: dict[str, Any] = response.model_extra or {}
    assert (extra["temperature"], extra["tool_choice"]) == (0.5, "none")
    assert [one["name"] for one in extra["tools"]] == ["get_weather"]


async def test_a_tool_call_comes_whole_and_its_output_goes_back(client: Client) -> None:
    model = LLM("openai/sim@call:get_weather", client=client)
    context = asked(("user", "weather?"))
    first = await answer_of(model.chat(chat_ctx=context, tools=[get_weather]))
    (call,) = first.calls
    assert (call.name, list(json.loads(call.arguments))) == ("get_weather", ["city"])
    assert first.kinds == "cu"
    context.insert(llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments))
    context.insert(llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output="sunny", is_error=False))
    second = await answer_of(model.chat(chat_ctx=context, tools=[get_weather]))
    assert "sunny" in "".join(second.pieces)
    assert second.ids.isdisjoint(first.ids)


@tool
async def crm_name(customer: str) -> str:
    """A customer's name."""
    return f"the name of {customer}"


@pytest.fixture
async def crm(running: RunningTokenbus) -> AsyncGenerator[None]:
    async with hosted(running.nats_url, crm_name, root=DEFAULT_ROOT, service="crm-livekit"):
        yield


@pytest.mark.usefixtures("crm")
async def test_a_call_that_a_service_ran_is_not_handed_to_the_agent(client: Client) -> None:
    model = LLM("openai/sim@call:crm_name@rounds:1", client=client)
    served = [{"type": "function", "name": "crm_name"}]
    got = await answer_of(model.chat(chat_ctx=asked(), extra_kwargs={"tools": served}))
    assert got.calls == []
    assert "".join(got.pieces)


async def test_closing_the_stream_cancels_the_request_on_the_bus(client: Client) -> None:
    stream = LLM("openai/sim@tokens:2000@rate:50", client=client).chat(chat_ctx=asked())
    first = await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(20), client.attach(first.id.removeprefix("resp_")) as watched:
        assert (await watched.response()).status == "cancelled"


async def test_a_cancel_from_elsewhere_ends_the_stream_quietly(client: Client) -> None:
    stream = LLM("openai/sim@tokens:2000@rate:50", client=client).chat(chat_ctx=asked(), conn_options=ONCE)
    async with stream, asyncio.timeout(20):
        first = await anext(stream)
        await client.cancel(first.id.removeprefix("resp_"))
        assert [chunk.usage for chunk in [chunk async for chunk in stream] if chunk.usage is not None] == []


async def test_silence_is_a_timeout_that_may_be_retried_and_the_request_is_cancelled(client: Client) -> None:
    impatient = APIConnectOptions(max_retry=0, timeout=0.3)
    stream = LLM("openai/sim@ttft:20000", client=client).chat(chat_ctx=asked(), conn_options=impatient)
    with pytest.raises(APITimeoutError) as caught:
        await answer_of(stream)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("model", "status", "retryable"),
    [
        ("nobody/knows-it", 404, False),
        ("openai/sim-429@retry:0@tokens:{}", 429, True),
        ("openai/sim-500@tokens:{}", 502, True),
    ],
)
async def test_a_failure_is_retried_as_its_code_says(client: Client, model: str, status: int, retryable: bool) -> None:
    stream = LLM(model.format(next(_FRESH)), client=client).chat(chat_ctx=asked(), conn_options=ONCE)
    with pytest.raises(APIStatusError) as caught:
        await answer_of(stream)
    assert (caught.value.status_code, caught.value.retryable) == (status, retryable)
    assert (caught.value.request_id or "").startswith("resp_")


async def test_a_cut_answer_is_an_error_and_not_retried(client: Client) -> None:
    patient = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=20)
    stream = LLM("openai/sim@tokens:30@rate:200@fault:cut@after:5", client=client).chat(
        chat_ctx=asked(), conn_options=patient
    )
    assert (await anext(stream)).has_response()
    with pytest.raises((APIStatusError, APIConnectionError)) as caught:
        await answer_of(stream)
    assert not caught.value.retryable


async def test_the_fallback_adapter_takes_the_next(client: Client) -> None:
    members: list[Any] = [LLM(name, client=client) for name in (f"openai/sim-500@tokens:{next(_FRESH)}", "openai/sim")]
    adapter = llm.FallbackAdapter(members, attempt_timeout=20)
    got = await answer_of(adapter.chat(chat_ctx=asked()))
    await adapter.aclose()
    assert "".join(got.pieces)
