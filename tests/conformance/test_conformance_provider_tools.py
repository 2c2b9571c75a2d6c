"""Tools that run at the provider: their parameters go there, and all that comes of them comes back, untouched."""

import re
from typing import Any, cast

import aiohttp
import orjson
import pytest

from tests.conformance.bench import KEYS, Answered, Bench, check_lifecycle
from tests.conformance.capabilities import CAPABILITIES, Capabilities
from tests.conformance.parameter_table import TOOL
from tests.conformance.product_tables import PROVIDER_TOOLS, Json, ProviderTool
from tokenbus_simulator import Call, Script

pytestmark = pytest.mark.asyncio(loop_scope="session")

RESPONSES = [row for row in CAPABILITIES if row.api == "responses"]
CHAT = [row for row in CAPABILITIES if row.api == "chat_completions"]
every_tool = pytest.mark.parametrize("tool", PROVIDER_TOOLS, ids=lambda row: row.tool["type"])
at_responses = pytest.mark.parametrize("row", RESPONSES, ids=str)
at_chat = pytest.mark.parametrize("row", CHAT, ids=str)
MADE_ANEW = re.compile("[0-9a-f]{20}")
"""What the simulator's ids of one answer have in common."""
OF_THE_RESPONSE = {"created", "in_progress", "queued", "completed", "incomplete", "failed"}


async def _used(bench: Bench, row: Capabilities, tool: ProviderTool, **changes: Any) -> Answered:
    asked: Json = {"tools": [tool.tool], "include": [tool.include], "input": "When do ships leave?", **changes}
    script = Script(provider_calls=(tool.tool["type"],), text="With the tide, twice a day.")
    answered = await bench.ask(f"{row.provider}/gpt-4.1", provider=row.provider, api=row.api, script=script, **asked)
    return answered.completed()


@at_responses
@every_tool
async def test_its_parameters_reach_the_provider_untouched(
    answering: Bench, row: Capabilities, tool: ProviderTool
) -> None:
    body = (await _used(answering, row, tool)).upstream

    assert body["tools"] == [tool.tool]
    assert tool.include in body["include"]


@at_responses
@every_tool
async def test_its_item_its_details_and_what_it_cites_arrive(
    answering: Bench, row: Capabilities, tool: ProviderTool
) -> None:
    answered = await _used(answering, row, tool)

    [item] = answered.items(tool.item)
    detail: Any = item
    for name in tool.detail.split("."):
        detail = detail[name]
    assert detail
    [message] = answered.items("message")
    assert [annotation["type"] for annotation in message["content"][0]["annotations"]] == [tool.annotation]


@at_responses
@every_tool
async def test_every_event_of_it_is_the_providers_own(bench: Bench, row: Capabilities, tool: ProviderTool) -> None:
    answered = await _used(bench, row, tool)
    told = await _told_directly(bench, row, tool, body=answered.upstream)

    assert any(event["type"].startswith(f"response.{tool.item}.") for event in told)
    assert any(event["type"] == "response.output_text.annotation.added" for event in told)
    assert _events(answered.events) == _events(told)
    assert _plain(answered.output) == _plain(told[-1]["response"]["output"])


async def _told_directly(bench: Bench, row: Capabilities, tool: ProviderTool, *, body: Json) -> list[Json]:
    """What the provider says to the same request without the bus between."""
    bench.simulator.then(Script(provider_calls=(tool.tool["type"],), text="With the tide, twice a day."))
    url = f"{bench.simulator.base_urls[row.profile]}/responses"
    headers = {"authorization": f"Bearer {KEYS[row.profile]}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        lines = (await answer.read()).splitlines()
    return [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


def _events(events: list[Json]) -> Any:
    """Those that are not about the response as a whole."""
    return _plain([event for event in events if event["type"].removeprefix("response.") not in OF_THE_RESPONSE])


def _plain(value: object) -> Any:
    """Without numbers, and with the same ids in every answer."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in cast("Json", value).items() if name != "sequence_number"}
    if isinstance(value, list):
        return [_plain(inner) for inner in cast("list[object]", value)]
    return MADE_ANEW.sub("…", value) if isinstance(value, str) else value


@at_responses
@every_tool
async def test_it_goes_beside_function_tools(answering: Bench, row: Capabilities, tool: ProviderTool) -> None:
    script = Script(provider_calls=(tool.tool["type"],), calls=(Call("get_time", "{}"),))
    answered = await answering.ask(
        f"{row.provider}/gpt-4.1", provider=row.provider, api=row.api, script=script, tools=[TOOL, tool.tool]
    )

    assert [item["type"] for item in answered.completed().output] == [tool.item, "function_call"]
    assert [entry["type"] for entry in answered.upstream["tools"]] == ["function", tool.tool["type"]]
    assert answered.upstream["tools"][1] == tool.tool


@at_responses
async def test_a_tool_nobody_has_heard_of_passes_too(answering: Bench, row: Capabilities) -> None:
    tool = {"type": "tide_table", "harbour": "Oslo", "depth": {"from": 3}}
    answered = await answering.ask(
        f"{row.provider}/gpt-4.1",
        provider=row.provider,
        api=row.api,
        script=Script(provider_calls=("tide_table",)),
        tools=[tool],
        check=check_lifecycle,  # the SDK knows no such tool either
    )

    assert answered.completed().upstream["tools"] == [tool]
    assert len(answered.items("tide_table_call")) == 1


@at_chat
@every_tool
async def test_a_chat_target_refuses_it_by_name_before_the_provider_is_called(
    bench: Bench, row: Capabilities, tool: ProviderTool
) -> None:
    answered = await bench.ask(f"{row.provider}/sim", provider=row.provider, api=row.api, tools=[tool.tool])

    assert (answered.error["type"], answered.error["param"]) == ("unsupported_parameter", "tools[0]")
    assert tool.tool["type"] in answered.error["message"]
    assert answered.exchanges == []


@every_tool
async def test_its_parameters_are_checked_before_the_provider_is_called(bench: Bench, tool: ProviderTool) -> None:
    for name in set(tool.tool) - {"type"}:
        answered = await bench.ask("openai/gpt-4.1", tools=[{**tool.tool, name: 0}], check=check_lifecycle)

        assert answered.error["param"] == f"tools[0].{name}"
        assert answered.exchanges == []
