"""Functions that run on the bus, as a Chat Completions client sees them: not at all."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from tests.e2e.conftest import RunningTokenbus
from tests.toolkit.conftest import hosted
from tokenbus_schemas import DEFAULT_ROOT
from tokenbus_toolkit import tool

MESSAGES: Any = [{"role": "user", "content": "Go on."}]
NO_ARGUMENTS: Any = {"type": "object", "properties": {}}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": NO_ARGUMENTS}}
    for name in ("desk_lookup", "desk_unserved")
]
SERVED = "openai/sim@call:desk_lookup@rounds:2"
BOTH = "openai/sim@call:desk_lookup@call:desk_unserved"


@tool
async def desk_lookup() -> str:
    """Look something up."""
    return "found"


@pytest.fixture(autouse=True)
async def desk(running: RunningTokenbus) -> AsyncGenerator[None]:
    async with hosted(running.nats_url, desk_lookup, root=DEFAULT_ROOT, service="desk"):
        yield


@pytest.fixture
async def client(gateway_url: str) -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway_url, api_key="any", max_retries=0, timeout=30) as opened:
        yield opened


async def chunks(client: AsyncOpenAI, *, model: str) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(model=model, messages=MESSAGES, tools=TOOLS, stream=True)
    return [chunk async for chunk in stream]


def called(chunks: list[ChatCompletionChunk]) -> list[str | None]:
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    return [call.function.name for call in calls if call.function is not None and call.function.name]


async def test_a_stream_shows_no_call_that_the_bus_has_run(client: AsyncOpenAI) -> None:
    told = await chunks(client, model=SERVED)

    assert called(told) == []
    assert "".join(choice.delta.content or "" for chunk in told for choice in chunk.choices)
    assert [choice.finish_reason for choice in told[-1].choices] == ["stop"]


async def test_a_stream_shows_the_call_that_is_left_to_the_client(client: AsyncOpenAI) -> None:
    told = await chunks(client, model=BOTH)

    assert called(told) == ["desk_unserved"]
    assert [choice.finish_reason for choice in told[-1].choices] == ["tool_calls"]


@pytest.mark.parametrize(("model", "left", "reason"), [(SERVED, [], "stop"), (BOTH, ["desk_unserved"], "tool_calls")])
async def test_a_plain_answer_holds_the_calls_that_are_left_to_the_client(
    client: AsyncOpenAI, model: str, left: list[str], reason: str
) -> None:
    completion = await client.chat.completions.create(model=model, messages=MESSAGES, tools=TOOLS)

    (choice,) = completion.choices
    calls = choice.message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == left
    assert choice.finish_reason == reason


async def test_a_responses_client_sees_the_call_and_its_output(client: AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "name": "desk_lookup", "parameters": NO_ARGUMENTS, "strict": False}]
    response = await client.responses.create(model=SERVED, input="Go on.", tools=tools)

    assert [item.type for item in response.output] == [*["function_call", "function_call_output"] * 2, "message"]
