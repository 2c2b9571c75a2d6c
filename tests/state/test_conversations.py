"""Conversations over `previous_response_id`: what the provider is told, and who may continue what."""

import asyncio
from typing import Any

import pytest

from tests.state.conftest import Installation, installed
from tests.valid_stream import Json
from tokenbus import Client, ResponseFailedError
from tokenbus.bus import Bus
from tokenbus_schemas import ErrorCode, RequestId, Response
from tokenbus_schemas.subjects import DEFAULT_TENANT

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ECHO = "sim-echo"
TARGETS = [("lab", "responses"), ("lab", "chat_completions"), ("chatty", "auto"), ("other", "auto")]


def call_of(response: Response) -> Json:
    return next(item for item in response.output if item["type"] == "function_call")


def result_of(call: Json) -> Json:
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}


def said(asked: Any) -> list[str]:
    """Who said something, or what was called, in the order in which the provider was told."""
    told: list[str] = []
    for one in asked.get("input") or asked["messages"]:
        kind = one.get("type", "message")
        told.append(str(one["role"]) if kind == "message" else kind)
        told += ["function_call" for _ in one.get("tool_calls") or ()]
    return told


async def refused(turn: Any) -> tuple[ErrorCode, str, str | None]:
    with pytest.raises(ResponseFailedError) as caught:
        await turn
    return caught.value.code, caught.value.message, caught.value.param


@pytest.mark.parametrize(("provider", "api"), TARGETS)
async def test_three_turns_with_a_tool_and_reasoning_outlive_router_and_executor(
    installation: Installation, provider: str, api: str
) -> None:
    options: Json = {"tools": [WEATHER], "tokenbus": {"api": api}}
    model = f"{provider}/sim@reasoning:6@call:get_weather"
    image: Json = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    question: Json = {"role": "user", "content": [{"type": "input_text", "text": "Is it raining here?"}, image]}
    first = await installation.turn(model, [question], instructions="Be brief.", **options)
    await installation.restart()
    call = call_of(first)
    second = await installation.turn(model, [result_of(call)], after=first, **options)
    await installation.restart()
    third = await installation.turn(f"{provider}/{ECHO}", "Thank you.", after=second, **options)

    assert third.output_text == "Thank you."
    assert third.model_extra is not None
    assert third.model_extra["previous_response_id"] == second.id
    asked = installation.asked()
    assert [one for one in said(asked) if one not in ("reasoning", "tool")] == [
        "user",
        *(["assistant"] if "messages" in asked else []),
        "function_call",
        *([] if "messages" in asked else ["function_call_output"]),
        "assistant",
        "user",
    ]
    assert "previous_response_id" not in asked
    assert "Be brief." not in str(asked)
    assert "AAAA" in str(asked)
    assert call["call_id"] in str(asked)
    assert second.output_text in str(asked)


async def test_sealed_reasoning_goes_back_to_its_provider_and_to_no_other(installation: Installation) -> None:
    model = "sim@reasoning:6@summary:6"
    first = await installation.turn(f"lab/{model}", "Think.", reasoning={"effort": "low"})
    sealed = next(item["encrypted_content"] for item in first.output if item["type"] == "reasoning")

    await installation.turn(f"lab/{ECHO}", "Go on.", after=first, reasoning={"effort": "low"})
    assert sealed in str(installation.asked())
    await installation.turn(f"other/{ECHO}", "Go on.", after=first)
    assert sealed not in str(installation.asked())
    assert said(installation.asked()) == ["user", "assistant", "user"] or "reasoning" in said(installation.asked())
    await installation.turn(f"chatty/{ECHO}", "Go on.", after=first)
    assert said(installation.asked()) == ["user", "assistant", "user"]


async def test_a_providers_own_tools_stay_with_it(installation: Installation) -> None:
    search: Json = {"type": "web_search"}
    first = await installation.turn("lab/sim@provider_call:web_search", "Search.", tools=[search])
    assert "web_search_call" in [item["type"] for item in first.output]

    await installation.turn(f"lab/{ECHO}", "Go on.", after=first)
    assert "web_search_call" in said(installation.asked())
    await installation.turn(f"chatty/{ECHO}", "Go on.", after=first)
    assert said(installation.asked()) == ["user", "assistant", "user"]


async def test_what_a_client_repeats_is_told_once(installation: Installation) -> None:
    first = await installation.turn("lab/sim@call:get_weather", "Weather?", tools=[WEATHER])
    call = call_of(first)
    repeated = {name: call[name] for name in ("type", "call_id", "name", "arguments")}
    second = await installation.turn(f"lab/{ECHO}", [repeated, result_of(call)], after=first, tools=[WEATHER])
    assert said(installation.asked()) == ["user", "function_call", "function_call_output"]
    repeated = {"role": "assistant", "content": second.output_text}
    await installation.turn(f"lab/{ECHO}", [repeated, {"role": "user", "content": "Bye."}], after=second)
    assert said(installation.asked()) == ["user", "function_call", "function_call_output", "assistant", "user"]


async def test_a_conversation_may_branch(installation: Installation) -> None:
    first = await installation.turn(f"lab/{ECHO}", "One.")
    for branch in ("Two.", "Three."):
        await installation.turn(f"lab/{ECHO}", branch, after=first)
        texts = [item["content"] for item in installation.asked()["input"] if item["role"] == "user"]
        assert texts == ["One.", branch]


async def test_a_long_conversation_is_whole(installation: Installation) -> None:
    last: Response | None = None
    for number in range(12):
        last = await installation.turn(f"lab/{ECHO}", f"Turn {number}.", after=last)
    texts = [item["content"] for item in installation.asked()["input"] if item["role"] == "user"]
    assert texts == [f"Turn {number}." for number in range(12)]


async def test_what_can_not_be_continued_is_not_found(installation: Installation) -> None:
    gone = await installation.turn(f"lab/{ECHO}", "Keep nothing.", store=False)
    chat = await installation.client.respond(
        {"model": f"lab/{ECHO}", "messages": [{"role": "user", "content": "Hi."}]}, timeout_s=30
    )
    for response_id in (gone.id, chat.id, "resp_nobody", "nobody", "resp_!", "x" * 200):
        code, message, param = await refused(
            installation.client.respond(
                {"model": f"lab/{ECHO}", "input": "Go on.", "previous_response_id": response_id}, timeout_s=30
            )
        )
        assert (code, param) == (ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND, "previous_response_id")
        assert message.startswith("Previous response with id '")
        assert message.endswith("not found.")


async def test_another_tenants_response_is_not_found(installation: Installation, bus: Bus) -> None:
    own = await installation.turn(f"lab/{ECHO}", "A secret.")
    async with Client(bus, tenant="stranger", root=installation.stored.subjects.root) as stranger:
        code, message, _ = await refused(
            stranger.respond({"model": f"lab/{ECHO}", "input": "Go on.", "previous_response_id": own.id}, timeout_s=30)
        )
    assert (code, message) == (
        ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND,
        f"Previous response with id '{own.id}' not found.",
    )


async def test_what_runs_failed_or_was_cancelled_is_not_continued_and_says_so(installation: Installation) -> None:
    async def go_on(request_id: str) -> tuple[ErrorCode, str, str | None]:
        body: Any = {"model": f"lab/{ECHO}", "input": "Go on.", "previous_response_id": f"resp_{request_id}"}
        return await refused(installation.client.respond(body, timeout_s=30))

    async with installation.client.stream(model="lab/sim@tokens:500@rate:20", input="x", request_id="runs") as stream:
        await anext(stream.events)
        assert "it has not ended yet" in (await go_on("runs"))[1]
    assert (await stream_end(installation, "runs")).status == "cancelled"
    assert "it is cancelled" in (await go_on("runs"))[1]
    with pytest.raises(ResponseFailedError):
        await installation.client.respond({"model": "lab/sim-500", "input": "x"}, request_id="failed", timeout_s=30)
    assert "it is failed" in (await go_on("failed"))[1]


async def stream_end(installation: Installation, request_id: str) -> Response:
    async with installation.client.attach(request_id) as stream:
        return await stream.response()


async def test_an_answer_cut_by_its_limit_is_continued(installation: Installation) -> None:
    first = await installation.turn("lab/sim@tokens:60", "Tell.", max_output_tokens=20)
    assert first.status == "incomplete"
    await installation.turn(f"lab/{ECHO}", "Go on.", after=first)
    assert said(installation.asked()) == ["user", "assistant", "user"]


async def test_a_conversation_near_the_limit_of_the_bus_goes_on(installation: Installation) -> None:
    """Its work is put down in pieces where it does not fit into one message."""
    first = await installation.turn(f"lab/{ECHO}", "x" * 200_000)
    second = await installation.turn(f"lab/{ECHO}", "y" * 200_000, after=first)
    third = await installation.turn(f"lab/{ECHO}", "z" * 300_000, after=second)
    assert third.status == "completed"


async def test_a_conversation_expires_with_its_results(nats_url: str, root: str, bus: Bus) -> None:
    async with installed(nats_url, root=root, bus=bus, results_max_age_s=2.0) as installation:
        first = await installation.turn(f"lab/{ECHO}", "Hi.")
        request_id = RequestId(first.id.removeprefix("resp_"))
        stored = installation.stored
        subjects = (
            (stored.responses.name, f"$KV.{root}_responses.{DEFAULT_TENANT}.{request_id}"),
            (stored.results.name, stored.subjects.result(DEFAULT_TENANT, request_id)),
        )
        async with asyncio.timeout(20):
            while await bus.last_message_at_leader(*subjects[0]) is None:
                pass
            for stream, subject in subjects:
                while await bus.last_message_at_leader(stream, subject) is not None:
                    pass
        code, message, _ = await refused(installation.turn(f"lab/{ECHO}", "Go on.", after=first))
    assert (code, message) == (
        ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND,
        f"Previous response with id '{first.id}' not found.",
    )


async def test_nothing_is_kept_where_storing_is_switched_off(nats_url: str, root: str, bus: Bus) -> None:
    async with installed(nats_url, root=root, bus=bus, store_responses=False) as installation:
        first = await installation.turn(f"lab/{ECHO}", "a secret")
        assert first.model_extra is not None
        assert first.model_extra["store"] is False
        assert installation.asked()["store"] is False
        code, _, _ = await refused(installation.turn(f"lab/{ECHO}", "Go on.", after=first))
        kept = await bus.last_message_at_leader(installation.stored.responses.name, f"$KV.{root}_responses.>")
    assert code == ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND
    assert kept is None
