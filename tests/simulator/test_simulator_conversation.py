"""Conversations over several rounds: stored responses, calls and their outputs, reasoning that comes back."""

from typing import Any

import aiohttp
import openai as sdk
import pytest
from openai import AsyncOpenAI

WEATHER: Any = {"type": "function", "name": "get_weather", "strict": False}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"}
SEALED: Any = ["reasoning.encrypted_content"]


def outputs_of(response: Any, text: str = "Sunny") -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": text}
        for item in response.output
        if item.type == "function_call"
    ]


async def test_a_tool_loop_goes_on_from_the_previous_response(openai: AsyncOpenAI) -> None:
    model = "sim;call=get_weather;call=get_tide;rounds=2"
    first = await openai.responses.create(model=model, input="What to wear?", tools=[WEATHER])
    second = await openai.responses.create(model=model, input=outputs_of(first), previous_response_id=first.id)
    third = await openai.responses.create(model=model, input=outputs_of(second, "Rain"), previous_response_id=second.id)
    assert [item.type for item in first.output] == [item.type for item in second.output] == ["function_call"] * 2
    assert "Rain" in third.output_text
    assert third.previous_response_id == second.id


async def test_a_tool_loop_goes_on_from_full_input(openai: AsyncOpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "What to wear?"}]
    kinds: list[list[str]] = []
    for _ in range(3):
        response = await openai.responses.create(model="sim;reasoning=3;call=a;call=b;rounds=2", input=said)
        kinds.append([item.type for item in response.output])
        said += [*response.output, *outputs_of(response)]
    assert kinds == [["reasoning", "function_call", "function_call"]] * 2 + [["reasoning", "message"]]


async def test_the_last_user_message_is_remembered_over_a_chain(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="gpt-4.1-mini", input="I am Ada.")
    second = await openai.responses.create(model="gpt-4.1-mini", input="Hello?", previous_response_id=first.id)
    third: Any = [{"role": "assistant", "content": "Yes?"}]
    answer = await openai.responses.create(model="sim-echo", input=third, previous_response_id=second.id)
    assert answer.output_text == "Hello?"


async def test_a_client_may_repeat_what_the_server_has(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim;call=get_weather", input="Hi", tools=[WEATHER])
    [call] = first.output
    assert call.type == "function_call"
    repeated: Any = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    second = await openai.responses.create(
        model="sim;call=get_weather", input=[repeated, *outputs_of(first)], previous_response_id=first.id
    )
    assert "Sunny" in second.output_text


async def test_an_item_with_the_same_id_twice_is_refused(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="gpt-4.1-mini", input="Hi")
    again: Any = [first.output[0], {"role": "user", "content": "And now?"}]
    with pytest.raises(sdk.BadRequestError, match="Duplicate item found with id msg_"):
        await openai.responses.create(model="gpt-4.1-mini", input=again, previous_response_id=first.id)


@pytest.mark.parametrize("stored", [True, False])
async def test_an_unknown_previous_response_is_refused(openai: AsyncOpenAI, stored: bool) -> None:
    previous = "resp_unknown"
    if not stored:
        previous = (await openai.responses.create(model="gpt-4.1-mini", input="Hi", store=False)).id
    with pytest.raises(sdk.BadRequestError) as caught:
        await openai.responses.create(model="gpt-4.1-mini", input="Hi", previous_response_id=previous)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"
    assert f"Previous response with id '{previous}' not found." in str(caught.value)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([OUTPUT], "No tool call found for function call output with call_id call_1."),
        ([CALL], "No tool output found for function call call_1."),
        ([CALL, {**OUTPUT, "call_id": "call_2"}], "No tool call found for function call output with call_id call_2."),
        ([CALL, {**CALL, "call_id": "call_2"}, OUTPUT], "No tool output found for function call call_2."),
        (
            [{"type": "custom_tool_call", "call_id": "call_1", "name": "f", "input": "x"}],
            "No tool output found for custom tool call call_1.",
        ),
    ],
)
async def test_calls_and_outputs_that_do_not_match_are_refused(
    http: aiohttp.ClientSession, items: list[dict[str, object]], message: str
) -> None:
    async with http.post("responses", json={"model": "m", "input": items}) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error == {"message": message, "type": "invalid_request_error", "param": "input", "code": None}


async def test_a_call_of_the_previous_response_that_stays_open_is_refused(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim;call=get_weather", input="Hi")
    with pytest.raises(sdk.BadRequestError, match="No tool output found for function call call_"):
        await openai.responses.create(model="sim", input="Never mind.", previous_response_id=first.id)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Hi"}],
        [{"role": "tool", "tool_call_id": "call_2", "content": "Sunny"}],
        [],
    ],
)
async def test_chat_demands_an_output_for_every_call(
    http: aiohttp.ClientSession, messages: list[dict[str, object]]
) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    begun: list[dict[str, object]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [called]},
        *messages,
    ]
    async with http.post("chat/completions", json={"model": "m", "messages": begun}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "messages.[2].role"


async def test_encrypted_reasoning_comes_when_included_and_is_taken_back(openai: AsyncOpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "Hi"}]
    model = "sim;summary=4;call=get_weather"
    plain = await openai.responses.create(model=model, input=said, store=False)
    assert plain.output[0].type == "reasoning"
    assert plain.output[0].encrypted_content is None
    first = await openai.responses.create(model=model, input=said, store=False, include=SEALED)
    assert first.output[0].type == "reasoning"
    assert (first.output[0].encrypted_content or "").startswith("gAAAAAB")
    said += [*first.output, *outputs_of(first)]
    second = await openai.responses.create(model=model, input=said, store=False)
    assert "Sunny" in second.output_text


async def test_the_seal_of_the_opened_item_is_not_the_one_it_ends_with(openai: AsyncOpenAI) -> None:
    stream: Any = await openai.responses.create(model="sim;summary=4", input="Hi", include=SEALED, stream=True)
    seals = [
        event.item.encrypted_content
        async for event in stream
        if event.type in ("response.output_item.added", "response.output_item.done") and event.item.type == "reasoning"
    ]
    assert len(set(seals)) == len(seals) == 2


@pytest.mark.parametrize("change", ["id", "content", "both of another", "cut"])
async def test_reasoning_that_was_changed_is_refused(openai: AsyncOpenAI, change: str) -> None:
    responses: list[Any] = [
        await openai.responses.create(model="sim;summary=4", input="Hi", include=SEALED) for _ in range(2)
    ]
    first, other = (response.output[0].to_dict() for response in responses)
    match change:
        case "id":
            first["id"] = other["id"]
        case "content":
            first["encrypted_content"] = first["encrypted_content"].replace("==", "A==")
        case "both of another":
            first["encrypted_content"] = other["encrypted_content"]
        case _:
            first["encrypted_content"] = first["encrypted_content"][:40]
    said: Any = [{"role": "user", "content": "Hi"}, first, responses[0].output[1], {"role": "user", "content": "Go on"}]
    with pytest.raises(sdk.BadRequestError, match="could not be verified") as caught:
        await openai.responses.create(model="gpt-4.1-mini", input=said)
    assert caught.value.code == "invalid_encrypted_content"


async def test_reasoning_without_its_content_is_taken_only_where_it_is_stored(openai: AsyncOpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "Hi"}]
    for store in (True, False):
        first = await openai.responses.create(model="sim;summary=4;text=Yes.", input=said, store=store)
        items: Any = [*said, *first.output, {"role": "user", "content": "Go on"}]
        if store:
            assert (await openai.responses.create(model="sim-echo", input=items)).output_text == "Go on"
        else:
            with pytest.raises(sdk.NotFoundError, match="Items are not persisted when `store` is set to false"):
                await openai.responses.create(model="sim-echo", input=items)


async def test_a_reference_stands_for_the_item_it_names(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim;call=get_weather", input="Hi")
    items: Any = [{"type": "item_reference", "id": first.output[0].id}, *outputs_of(first)]
    second = await openai.responses.create(model="gpt-4.1-mini", input=items)
    assert "Sunny" in second.output_text
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.create(model="gpt-4.1-mini", input=[{"type": "item_reference", "id": "msg_1"}])


async def test_reasoning_without_what_followed_it_is_refused(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim;summary=4", input="Hi", include=SEALED)
    said: Any = [first.output[0], {"role": "user", "content": "Go on"}]
    with pytest.raises(sdk.BadRequestError, match="was provided without its required following item"):
        await openai.responses.create(model="gpt-4.1-mini", input=said)
