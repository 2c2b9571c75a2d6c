"""Input items and messages: shapes as OpenAI takes them, images and files, and the words of its refusals."""

import typing
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from tokenbus_simulator.responses_input import ITEM_SHAPES

PIXEL = "data:image/png;base64,iVBORw0KGgo="
USER = {"role": "user", "content": "Hi"}


def test_the_item_types_are_those_of_the_sdk() -> None:
    kinds = set[str]()
    for member in typing.get_args(ResponseInputItemParam):
        literal = typing.get_type_hints(member)["type"]
        for each in (literal, *typing.get_args(literal)):
            kinds |= {value for value in typing.get_args(each) if isinstance(value, str)}
            kinds |= {each} if isinstance(each, str) else set()
    assert set(ITEM_SHAPES) == kinds


async def test_images_and_files_are_taken_and_mentioned(openai: AsyncOpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
        {"type": "input_file", "filename": "tides.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_file", "file_id": "file-1"},
    ]
    response = await openai.responses.create(model="gpt-4.1-mini", input=[{"role": "user", "content": content}])
    assert "What is this?" in response.output_text
    assert "I see an image, the file “tides.pdf”, a file with it." in response.output_text


async def test_chat_takes_and_mentions_images_recordings_and_files(openai: AsyncOpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "tides.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]
    messages: Any = [{"role": "user", "content": content}]
    completion = await openai.chat.completions.create(model="gpt-4.1-mini", messages=messages)
    assert "an image, a recording, the file “tides.pdf”" in (completion.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        (
            {"role": "assistant", "content": [{"type": "input_text", "text": "a"}]},
            "input[0].content[0]",
            "invalid_value",
        ),
        ({"role": "user", "content": [{"type": "output_text", "text": "a"}]}, "input[0].content[0]", "invalid_value"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}]}, "input[0].content[0]", "invalid_value"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": {"url": PIXEL}}]},
            "input[0].content[0].image_url",
            "invalid_type",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "detail": "auto"}]},
            "input[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_data": "AA=="}]},
            "input[0].content[0].filename",
            "missing_required_parameter",
        ),
        ({"role": "tool", "content": "a"}, "input[0]", "invalid_value"),
        ({"role": "user"}, "input[0].content", "missing_required_parameter"),
        ({"type": "poem"}, "input[0]", "invalid_value"),
        (
            {"type": "function_call", "call_id": "call_1", "name": "f"},
            "input[0].arguments",
            "missing_required_parameter",
        ),
        (
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": {}},
            "input[0].arguments",
            "invalid_type",
        ),
        (
            {"type": "function_call", "id": "call_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
            "input[0].id",
            "invalid_value",
        ),
    ],
)
async def test_an_item_of_another_shape_is_refused_where_it_is_wrong(
    http: aiohttp.ClientSession, item: dict[str, object], param: str, code: str
) -> None:
    async with http.post("responses", json={"model": "m", "input": [item]}) as answer:
        error = (await answer.json())["error"]
        assert answer.status == 400
    assert (error["param"], error["code"]) == (param, code)


async def test_the_refusal_of_a_part_names_what_its_role_may_say(http: aiohttp.ClientSession) -> None:
    item = {"role": "assistant", "content": [{"type": "input_text", "text": "secret"}]}
    async with http.post("responses", json={"model": "m", "input": [item]}) as answer:
        message = (await answer.json())["error"]["message"]
    assert message == "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "poet", "content": "a"}, "messages[1].role"),
        ({"content": "a"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "assistant", "content": None}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "input_text", "text": "a"}]}, "messages[1].content[0].type"),
        ({"role": "system", "content": [{"type": "image_url"}]}, "messages[1].content[0].type"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": PIXEL}]},
            "messages[1].content[0].image_url",
        ),
        ({"role": "tool", "content": "a"}, "messages[1].tool_call_id"),
        ({"role": "tool", "content": "a", "tool_call_id": "call_1"}, "messages.[1].role"),
        ({"role": "assistant", "tool_calls": [{"id": "call_1", "type": "x"}]}, "messages[1].tool_calls[0].type"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"arguments": "{}"}}]},
            "messages[1].tool_calls[0].function.name",
        ),
    ],
)
async def test_a_message_of_another_shape_is_refused_where_it_is_wrong(
    http: aiohttp.ClientSession, message: dict[str, object], param: str
) -> None:
    async with http.post("chat/completions", json={"model": "m", "messages": [USER, message]}) as answer:
        error = (await answer.json())["error"]
        assert answer.status == 400
    assert error["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function", "name": "flat"}]}, "tools[0].function"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "name": "f"},
            },
            "tool_choice.function",
        ),
        ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools[0].function.name"),
    ],
)
async def test_chat_demands_tools_in_its_own_form(
    http: aiohttp.ClientSession, fields: dict[str, object], param: str
) -> None:
    async with http.post("chat/completions", json={"model": "m", "messages": [USER], **fields}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param


async def test_allowed_tools_narrow_what_is_called(http: aiohttp.ClientSession) -> None:
    functions = [{"type": "function", "name": name} for name in ("get_time", "get_tide")]
    choice = {"type": "allowed_tools", "mode": "required", "tools": functions[1:]}
    request = {"model": "m", "input": "Use get_time.", "tools": functions, "tool_choice": choice}
    async with http.post("responses", json=request) as answer:
        output = (await answer.json())["output"]
    assert [item["name"] for item in output] == ["get_tide"]
