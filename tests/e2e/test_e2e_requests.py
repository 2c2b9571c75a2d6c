"""One request through the whole system: every answer is a valid stream, every refusal names the field."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.valid_stream import Json, check_stream
from tokenbus import Client, ResponseFailedError
from tokenbus_schemas import EventLine


async def answered(client: Client, **params: object) -> list[Json]:
    """Every event of the answer, checked."""
    async with client.stream({"input": "Hello there.", **params}) as stream:
        lines: list[EventLine] = [line async for line in stream]
    return check_stream(lines)


def text_of(events: list[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_an_answer_is_a_valid_stream(client: Client, api: str) -> None:
    events = await answered(client, model="openai/sim@tokens:25", tokenbus={"api": api})

    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert response["model"] == "openai/sim@tokens:25"
    assert response["tokenbus"]["api"] == api
    assert response["usage"]["output_tokens"] == 25
    assert response["output"][0]["content"][0]["text"] == text_of(events) != ""


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_function_calls_arrive_for_the_client_to_run(client: Client, api: str) -> None:
    tool: dict[str, object] = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {}},
    }
    events = await answered(client, model="openai/sim@call:get_weather", tools=[tool], tokenbus={"api": api})

    calls = [item for item in events[-1]["response"]["output"] if item["type"] == "function_call"]
    assert [call["name"] for call in calls] == ["get_weather"]


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize(
    ("preset", "code"),
    [("429", "upstream_rate_limit"), ("500", "upstream_unavailable"), ("401", "upstream_authentication")],
)
async def test_a_failing_provider_ends_the_request_with_its_code(
    client: Client, api: str, preset: str, code: str
) -> None:
    events = await answered(client, model=f"openai/sim-{preset}", tokenbus={"api": api})

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["type"] == code


async def test_a_cut_stream_keeps_its_partial_answer_and_fails(client: Client) -> None:
    events = await answered(client, model="openai/sim@tokens:30@fault:cut@after:12", tokenbus={"recovery": "fail"})

    response = events[-1]["response"]
    assert (response["status"], response["error"]["type"]) == ("failed", "upstream_cut")
    assert response["output"][0]["content"][0]["text"] == text_of(events) != ""
    assert response["output"][0]["status"] == "incomplete"


REFUSED: list[tuple[Mapping[str, object], str, str]] = [
    ({"model": "nobody/knows-it"}, "model_not_found", "model"),
    ({"model": "openai/gpt-4.1-mini", "input": ""}, "invalid_value", "input"),
    ({"model": "openai/gpt-4.1-mini", "temprature": 1}, "unknown_parameter", "temprature"),
    ({"model": "openai/gpt-4.1-mini", "temperature": 7}, "invalid_value", "temperature"),
    ({"model": 5}, "invalid_value", "model"),
    ({"model": "openai/gpt-4.1-mini", "tokenbus": {"provider": "acme"}}, "provider_not_found", "tokenbus.provider"),
]


@pytest.mark.parametrize(("body", "code", "param"), REFUSED)
async def test_a_request_that_cannot_be_routed_fails_with_the_field(
    client: Client, body: Mapping[str, object], code: str, param: str
) -> None:
    events = await answered(client, **body)

    error = events[-1]["response"]["error"]
    assert (error["type"], error["param"]) == (code, param)
    assert param in error["message"]


async def test_cancel_ends_a_running_answer_within_a_second(client: Client) -> None:
    async with client.stream(model="openai/sim@tokens:4000@rate:50", input="x") as stream:
        await anext(stream.text)
        async with asyncio.timeout(1):
            assert await client.cancel(stream.request_id) == "cancelling"
            response = await stream.response()

    assert response.status == "cancelled"
    assert response.output_text != ""


async def test_a_late_watcher_reads_the_same_answer(client: Client) -> None:
    async with client.stream(model="openai/sim@tokens:60@rate:300", input="x") as stream:
        await anext(stream.text)
        async with client.attach(stream.request_id) as late:
            seen = [line.raw async for line in late]
        response = await stream.response()

    assert seen[-1].startswith(b'{"type":"response.completed"')
    assert sum(b'"response.output_text.delta"' in raw for raw in seen) == 60
    assert response.output_text.strip()


async def test_an_ended_answer_is_replayed_from_any_number(client: Client) -> None:
    response = await client.respond(model="openai/sim@tokens:20", input="x")
    async with client.attach(response.id.removeprefix("resp_")) as whole:
        lines = [line async for line in whole]
    check_stream(lines)

    for after in (0, 7, len(lines) - 2):
        async with client.attach(response.id.removeprefix("resp_"), after=after) as rest:
            assert [line async for line in rest] == lines[after + 1 :]


async def test_a_hundred_requests_at_once_are_all_answered(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.respond(model="openai/sim@tokens:40", input="x")) for _ in range(100)]

    assert {task.result().status for task in tasks} == {"completed"}
    assert len({task.result().id for task in tasks}) == 100


async def test_respond_raises_what_failed(client: Client) -> None:
    with pytest.raises(ResponseFailedError, match="model"):
        await client.respond(model="nobody/knows-it", input="x")


async def test_the_catalog_is_listed(client: Client) -> None:
    models = {model.id: model.providers for model in await client.models()}

    assert models["openai/gpt-4.1-mini"] == ["azure", "openai"]
