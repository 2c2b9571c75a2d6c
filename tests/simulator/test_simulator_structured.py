"""Structured output: JSON that fits the schema, in both APIs, and schemas that are refused."""

from typing import Any

import aiohttp
import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic import BaseModel

from tokenbus_simulator.json_examples import example_of
from tokenbus_simulator.strictness import strict_problem

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 9},
        "inhabitants": {"type": "integer", "minimum": 1000, "multipleOf": 7},
        "founded": {"type": "string", "format": "date"},
        "districts": {"type": "array", "items": {"$ref": "#/$defs/district"}},
        "twin": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "required": ["name", "inhabitants", "founded", "districts", "twin"],
    "additionalProperties": False,
    "$defs": {
        "district": {
            "type": "object",
            "properties": {"code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}$"}},
            "required": ["code"],
            "additionalProperties": False,
        }
    },
}


class Weather(BaseModel):
    """What the SDK's parsers are to read."""

    city: str
    degrees: float
    windy: bool


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Schemas of the kinds that structured output is used with, nested."""
    flat = ["plain", "between", "above", "below", "steps", "length", "enum", "const"]
    low, more = draw(st.integers(-50, 50)), draw(st.integers(0, 9))
    match draw(st.sampled_from(flat + ["object", "array", "few", "either"] * (depth > 0))):
        case "between":
            return {"type": "integer", "minimum": low, "maximum": low + more}
        case "above":
            return {"type": "integer", "exclusiveMinimum": low}
        case "below":
            return {"type": "number", "exclusiveMaximum": low}
        case "steps":
            return {"type": "integer", "minimum": low, "multipleOf": more + 1}
        case "length":
            return {"type": "string", "minLength": more, "maxLength": more + 2}
        case "enum":
            return {"enum": draw(st.lists(st.text(max_size=3), min_size=1, max_size=3))}
        case "const":
            return {"const": low}
        case "object":
            names = draw(st.lists(st.text("abc", min_size=1, max_size=2), max_size=3, unique=True))
            properties = {name: draw(schemas(depth - 1)) for name in names}
            return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
        case "array":
            return {"type": "array", "items": draw(schemas(depth - 1)), "minItems": more % 4}
        case "few":
            return {"type": "array", "items": draw(schemas(depth - 1)), "maxItems": more % 4}
        case "either":
            return {"anyOf": [draw(schemas(depth - 1)), draw(schemas(depth - 1))]}
        case _:
            return {"type": draw(st.sampled_from(["string", "integer", "number", "boolean", "null"]))}


@given(schemas())
def test_an_example_fits_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(example_of(schema), schema)


def test_a_schema_that_contains_itself_has_an_example_too() -> None:
    value: Any = example_of(CITY)
    jsonschema.validate(value, CITY)
    assert value["twin"] is None
    assert len(value["districts"]) == 1


def test_parts_of_a_schema_are_put_together() -> None:
    schema = {
        "allOf": [
            {"$ref": "#/$defs/named"},
            {"properties": {"age": {"type": "integer", "minimum": 3}}, "required": ["age"]},
        ],
        "$defs": {"named": {"type": "object", "properties": {"name": {"const": "Ada"}}, "required": ["name"]}},
    }
    assert example_of(schema) == {"name": "Ada", "age": 3}


async def test_responses_answers_with_json_that_fits(http: aiohttp.ClientSession) -> None:
    form = {"type": "json_schema", "name": "city", "schema": CITY, "strict": True}
    async with http.post("responses", json={"model": "m", "input": "Hi", "text": {"format": form}}) as answer:
        body = await answer.json()
    jsonschema.validate(orjson.loads(body["output"][0]["content"][0]["text"]), CITY)
    assert body["text"]["format"] == form


async def test_the_sdks_parsers_read_the_answer_in_both_apis(openai: AsyncOpenAI) -> None:
    parsed = await openai.responses.parse(model="gpt-4.1-mini", input="Hi", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
    messages: Any = [{"role": "user", "content": "Hi"}]
    chat = await openai.chat.completions.parse(model="gpt-4.1-mini", messages=messages, response_format=Weather)
    assert chat.choices[0].message.parsed == parsed.output_parsed


async def test_json_objects_are_json_if_the_prompt_says_so(http: aiohttp.ClientSession) -> None:
    form = {"type": "json_object"}
    async with http.post("responses", json={"model": "m", "input": "As JSON", "text": {"format": form}}) as answer:
        text = (await answer.json())["output"][0]["content"][0]["text"]
    assert set(orjson.loads(text)) == {"answer"}
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "response_format": form}
    async with http.post("chat/completions", json=request) as answer:
        error = (await answer.json())["error"]
    assert "must contain the word 'json'" in error["message"]


async def test_a_scripted_text_comes_whatever_was_asked_for(openai: AsyncOpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "city", "schema": CITY}}
    response = await openai.responses.create(model="sim;text=No JSON.", input="Hi", text=form)
    assert response.output_text == "No JSON."


LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("responses", {"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ("responses", {"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "text.format.name"),
        ("responses", {"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        (
            "responses",
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": LOOSE, "strict": True}}},
            "text.format.schema",
        ),
        ("chat/completions", {"response_format": {"type": "xml"}}, "response_format.type"),
        (
            "chat/completions",
            {"response_format": {"type": "json_schema", "name": "a", "schema": {}}},
            "response_format.json_schema",
        ),
        (
            "chat/completions",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": LOOSE, "strict": True},
                }
            },
            "response_format",
        ),
        (
            "responses",
            {"tools": [{"type": "function", "name": "f", "parameters": LOOSE, "strict": True}]},
            "tools[0].parameters",
        ),
        (
            "chat/completions",
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": LOOSE, "strict": True}}]},
            "tools[0].function.parameters",
        ),
    ],
)
async def test_a_form_that_openai_would_not_guarantee_is_refused(
    http: aiohttp.ClientSession, path: str, fields: dict[str, object], param: str
) -> None:
    request = {"model": "m", **fields}
    if path == "chat/completions":
        request["messages"] = [{"role": "user", "content": "Hi"}]
    async with http.post(path, json=request) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "array"}, "got 'type: \"array\"'"),
        ({"additionalProperties": True}, "In context=(), 'additionalProperties' is required"),
        ({"required": ["name"]}, "Missing 'inhabitants'"),
        ({"properties": {"deep": LOOSE}, "required": ["deep"]}, "In context=('properties', 'deep')"),
        ({"$defs": {"district": LOOSE}}, "In context=('$defs', 'district')"),
    ],
)
def test_strictness_demands_closed_objects_with_all_properties(change: dict[str, object], problem: str) -> None:
    assert strict_problem(CITY) is None
    assert problem in (strict_problem({**CITY, **change}) or "")
