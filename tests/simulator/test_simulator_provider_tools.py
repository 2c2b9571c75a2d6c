"""Tools that run at the provider: items, progress, citations, and what `include` adds."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

Events = Callable[[bytes], list[dict[str, Any]]]

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
TOOLS: dict[str, dict[str, Any]] = {
    "web_search": {"type": "web_search", "search_context_size": "low"},
    "file_search": {"type": "file_search", "vector_store_ids": ["vs_1"]},
    "code_interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "image_generation": {"type": "image_generation", "partial_images": 2},
    "mcp": {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp"},
}
INCLUDE = ["web_search_call.action.sources", "file_search_call.results", "code_interpreter_call.outputs"]
PROGRESS = {
    "web_search": ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
    "file_search": ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
    "code_interpreter": [
        "code_interpreter_call.in_progress",
        "code_interpreter_call_code.delta",
        "code_interpreter_call_code.done",
        "code_interpreter_call.interpreting",
        "code_interpreter_call.completed",
    ],
    "image_generation": [
        "image_generation_call.in_progress",
        "image_generation_call.generating",
        "image_generation_call.partial_image",
        "image_generation_call.partial_image",
        "image_generation_call.completed",
    ],
    "mcp": [
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
    ],
}


async def events_of(
    http: aiohttp.ClientSession, parse_sse: Events, tool: str, *, include: list[str]
) -> list[dict[str, Any]]:
    request = {
        "model": f"sim;provider_call={tool}",
        "input": "Is the tide in?",
        "tools": [TOOLS[tool]],
        "include": include,
        "stream": True,
    }
    async with http.post("responses", json=request) as answer:
        assert answer.status == 200
        return parse_sse(await answer.read())


@pytest.mark.parametrize("include", [[], INCLUDE], ids=["bare", "with everything"])
@pytest.mark.parametrize("tool", TOOLS)
async def test_every_event_of_a_provider_tool_parses_strictly(
    http: aiohttp.ClientSession, parse_sse: Events, tool: str, include: list[str]
) -> None:
    events = await events_of(http, parse_sse, tool, include=include)
    for event in events:
        EVENT.validate_python(event)
    Response.model_validate(events[-1]["response"])
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("tool", TOOLS)
async def test_progress_is_told_in_openais_order_between_added_and_done(
    http: aiohttp.ClientSession, parse_sse: Events, tool: str
) -> None:
    events = await events_of(http, parse_sse, tool, include=[])
    kinds = [event["type"].removeprefix("response.") for event in events]
    told = [kind for kind in kinds if kind.startswith(tuple(step.partition(".")[0] for step in PROGRESS[tool]))]
    deltas_once = [kind for kind, before in zip(told, ["", *told], strict=False) if kind != before or "partial" in kind]
    assert deltas_once == PROGRESS[tool]
    assert kinds.index("output_item.added") < kinds.index(PROGRESS[tool][0])


@pytest.mark.parametrize(
    ("tool", "include", "where"),
    [
        ("web_search", "web_search_call.action.sources", ("action", "sources")),
        ("file_search", "file_search_call.results", ("results",)),
        ("code_interpreter", "code_interpreter_call.outputs", ("outputs",)),
    ],
)
async def test_what_a_call_found_comes_only_when_included(
    http: aiohttp.ClientSession, parse_sse: Events, tool: str, include: str, where: tuple[str, ...]
) -> None:
    found = list[bool]()
    for included in ([], [include]):
        events = await events_of(http, parse_sse, tool, include=included)
        item = events[-1]["response"]["output"][0]
        for step in where:
            item = item.get(step)
        found.append(bool(item))
    assert found == [False, True]


@pytest.mark.parametrize(
    ("tool", "citation"),
    [
        ("web_search", "url_citation"),
        ("file_search", "file_citation"),
        ("code_interpreter", "container_file_citation"),
    ],
)
async def test_the_answer_cites_what_was_found_while_its_text_is_told(
    http: aiohttp.ClientSession, parse_sse: Events, tool: str, citation: str
) -> None:
    events = await events_of(http, parse_sse, tool, include=[])
    [added] = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    part = events[-1]["response"]["output"][-1]["content"][0]
    assert part["annotations"] == [added["annotation"]]
    assert added["annotation"]["type"] == citation
    assert added["annotation"].get("end_index", len(part["text"])) == len(part["text"])
    [done] = [event for event in events if event["type"] == "response.content_part.done"]
    assert done["part"] == part


async def test_several_citations_split_the_text_between_them(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    request = {
        "model": "sim;provider_call=web_search;provider_call=file_search;text=One two three four.",
        "tools": [TOOLS["web_search"], TOOLS["file_search"]],
        "stream": True,
    }
    async with http.post("responses", json=request) as answer:
        events = parse_sse(await answer.read())
    kinds = [event["type"].removeprefix("response.output_text.") for event in events]
    told = [kind for kind in kinds if kind in ("delta", "annotation.added", "done")]
    assert told == ["delta", "delta", "annotation.added", "delta", "delta", "delta", "annotation.added", "done"]
    first, second = events[-1]["response"]["output"][-1]["content"][0]["annotations"]
    assert (first["start_index"], first["end_index"]) == (0, len("One two"))
    assert second["index"] == len("One two three four.")


async def test_the_sdks_accumulator_takes_provider_tools_beside_functions(openai: AsyncOpenAI) -> None:
    model = "sim;provider_call=web_search;provider_call=code_interpreter;reasoning=3;text=Done.;call=get_time"
    tools: Any = [TOOLS["web_search"], TOOLS["code_interpreter"], {"type": "function", "name": "get_time"}]
    async with openai.responses.stream(model=model, input="Hi", tools=tools) as stream:
        response = await stream.get_final_response()
    kinds = [item.type for item in response.output]
    assert kinds == ["reasoning", "web_search_call", "code_interpreter_call", "message", "function_call"]


async def test_an_unknown_type_of_tool_gets_an_item_and_events_of_its_name(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    request = {"model": "sim;provider_call=x_search", "tools": [{"type": "x_search", "handles": ["a"]}], "stream": True}
    async with http.post("responses", json=request) as answer:
        events = parse_sse(await answer.read())
    kinds = [event["type"] for event in events]
    assert "response.x_search_call.in_progress" in kinds
    assert events[-1]["response"]["output"][0]["type"] == "x_search_call"


@pytest.mark.parametrize(
    ("request_", "called"),
    [
        ({"tools": [TOOLS["web_search"]]}, []),
        ({"tools": [TOOLS["web_search"]], "tool_choice": {"type": "web_search"}}, ["web_search_call"]),
        ({"tools": [TOOLS["web_search"]], "tool_choice": "required"}, ["web_search_call"]),
        (
            {"tools": [{"type": "web_search_preview"}], "tool_choice": {"type": "web_search_preview"}},
            ["web_search_call"],
        ),
        ({"model": "sim;provider_call=web_search"}, []),
        ({"model": "sim;provider_call=web_search", "tools": [TOOLS["web_search"]], "tool_choice": "none"}, []),
        (
            {
                "model": "sim;provider_call=web_search;provider_call=file_search",
                "tools": [TOOLS["web_search"], TOOLS["file_search"]],
                "max_tool_calls": 1,
            },
            ["web_search_call"],
        ),
    ],
)
async def test_a_provider_tool_is_called_if_it_is_offered_and_wanted(
    http: aiohttp.ClientSession, request_: dict[str, Any], called: list[str]
) -> None:
    async with http.post("responses", json={"model": "gpt-4.1-mini", "input": "Hello", **request_}) as answer:
        output = (await answer.json())["output"]
    assert [item["type"] for item in output if item["type"] != "message"] == called


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "file_search"}, "tools[0].vector_store_ids"),
        ({"type": "code_interpreter", "container": None}, "tools[0].container"),
        ({"type": "mcp"}, "tools[0].server_label"),
        ({"type": "function", "function": {"name": "nested"}}, "tools[0].name"),
        ({}, "tools[0].type"),
    ],
)
async def test_a_tool_without_what_it_needs_is_refused(
    http: aiohttp.ClientSession, tool: dict[str, object], param: str
) -> None:
    async with http.post("responses", json={"model": "m", "tools": [tool]}) as answer:
        error = (await answer.json())["error"]
        assert answer.status == 400
    assert (error["param"], error["code"]) == (param, "missing_required_parameter")


async def test_a_choice_that_is_not_offered_is_refused(http: aiohttp.ClientSession) -> None:
    request = {"model": "m", "tools": [TOOLS["web_search"]], "tool_choice": {"type": "file_search"}}
    async with http.post("responses", json=request) as answer:
        error = (await answer.json())["error"]
    assert error["message"] == "Tool choice 'file_search' not found in 'tools' parameter."


@pytest.mark.parametrize("tool", TOOLS)
async def test_chat_takes_no_provider_tool(http: aiohttp.ClientSession, tool: str) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOLS[tool]]}
    async with http.post("chat/completions", json=request) as answer:
        error = (await answer.json())["error"]
        assert answer.status == 400
    assert error == {
        "message": f"Invalid value: '{tool}'. Supported values are: 'function' and 'custom'.",
        "type": "invalid_request_error",
        "param": "tools[0].type",
        "code": "invalid_value",
    }
