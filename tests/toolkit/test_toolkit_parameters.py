"""From a function to its schema and back: what a model is told, and what the function then gets."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from tokenbus_schemas.tools import ToolCall
from tokenbus_toolkit import (
    ArgumentsError,
    AsyncRun,
    FunctionTool,
    ThreadRun,
    Tool,
    ToolContext,
    ToolDefinitionError,
    raw_tool,
    tool,
)


class Unit(StrEnum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Place(BaseModel):
    """Somewhere."""

    city: str = Field(description="Its name.")
    title: str | None = None


@dataclass
class Span:
    first: date
    days: int = 1


@tool
def forecast(
    place: Place,
    spans: list[Span],
    unit: Unit = Unit.CELSIUS,
    *,
    detail: Annotated[Literal["short", "long"], Field(description="How much.")] = "short",
    limit: Annotated[int, Field(ge=1, le=10)] | None = None,
    schema: str = "x",
) -> str:
    """Say what the weather will be.

    Args:
        place: Where.
        detail: Not this text.
        limit: At most so many lines.
    """
    return json.dumps([place.city, place.title, str(spans[0].first), spans[0].days, unit, detail, limit, schema])


def context() -> ToolContext:
    call = ToolCall(tenant="t", request_id="r", round=0, index=0, call_id="c", name="n", arguments="{}", deadline=9e9)
    return ToolContext(call, deadline=9e9)


async def run(of: Tool, arguments: dict[str, Any]) -> Any:
    bound = of.bind(arguments, context())
    return await bound.start() if isinstance(bound, AsyncRun) else bound.start()


def test_schema_has_types_descriptions_defaults_and_enums() -> None:
    schema = forecast.description.parameters
    properties = schema["properties"]

    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["place", "spans"]
    assert schema["additionalProperties"] is False
    assert properties["place"] == {"$ref": "#/$defs/Place", "description": "Where."}
    assert properties["unit"] == {"$ref": "#/$defs/Unit", "default": "C"}
    assert properties["detail"]["description"] == "How much."
    assert properties["limit"]["description"] == "At most so many lines."
    assert properties["limit"]["default"] is None
    assert schema["$defs"]["Place"]["properties"]["city"] == {"description": "Its name.", "type": "string"}


def test_titles_are_left_out_but_not_a_property_of_that_name() -> None:
    text = json.dumps(forecast.description.parameters)

    assert "title" in forecast.description.parameters["$defs"]["Place"]["properties"]
    assert text.count('"title"') == 1


def test_description_is_the_docstring_without_its_sections() -> None:
    assert forecast.name == "forecast"
    assert forecast.description.description == "Say what the weather will be."


async def test_function_gets_python_values_and_its_defaults() -> None:
    arguments = {"place": {"city": "Oslo"}, "spans": [{"first": "2026-11-22"}], "limit": 3}

    assert json.loads(await run(forecast, arguments)) == ["Oslo", None, "2026-11-22", 1, "C", "short", 3, "x"]


async def test_null_for_an_optional_parameter_means_its_default() -> None:
    arguments = {"place": {"city": "Oslo"}, "spans": [{"first": "2026-11-22", "days": None}], "unit": None}

    assert json.loads(await run(forecast, arguments))[3:5] == [1, "C"]


async def test_object_that_was_encoded_twice_is_decoded() -> None:
    arguments = {"place": '{"city": "Oslo"}', "spans": '[{"first": "2026-11-22"}]', "schema": "{}"}

    assert json.loads(await run(forecast, arguments))[0] == "Oslo"
    assert json.loads(await run(forecast, arguments))[-1] == "{}"


async def test_problems_name_the_parameter_and_what_to_do() -> None:
    with pytest.raises(ArgumentsError) as caught:
        await run(forecast, {"place": {"city": 5}, "detail": "huge", "sity": "Oslo"})

    assert caught.value.problems == (
        "place.city: Input should be a valid string",
        "spans: is required and missing",
        "detail: Input should be 'short' or 'long'",
        "sity: there is no such parameter; there are place, spans, unit, detail, limit, schema",
    )


def test_strict_form_is_offered_where_it_is_wanted() -> None:
    @tool(strict=True)
    def pick(name: str, size: int = 3) -> None:
        """Pick one."""
        del name, size

    assert pick.description.strict
    assert pick.description.parameters == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": ["integer", "null"]}},
        "required": ["name", "size"],
        "additionalProperties": False,
    }


async def test_decorated_function_stays_a_function() -> None:
    @tool
    async def double(value: int, context: ToolContext) -> int:
        return 2 * value + (0 if context.tenant == "t" else 1)

    assert await double(2, context()) == 4
    assert await run(double, {"value": 2}) == 4
    assert list(double.description.parameters["properties"]) == ["value"]


def test_sync_function_runs_in_a_thread_and_async_on_the_loop() -> None:
    @tool
    async def on_loop() -> None: ...

    @tool
    def in_thread() -> None: ...

    assert isinstance(on_loop.bind({}, _no_context()), AsyncRun)
    assert isinstance(in_thread.bind({}, _no_context()), ThreadRun)


def _no_context() -> Any:
    return None


no_hint = cast("Callable[..., object]", lambda value: value)  # pyright: ignore[reportUnknownLambdaType]


def any_number(*values: int) -> None: ...


def no_schema(value: Callable[[], int]) -> None: ...


def unknown_hint(value: int) -> None: ...


unknown_hint.__annotations__["value"] = "Nowhere"


async def many() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_hint, "parameter 'value' has no type hint"),
        (any_number, "parameter 'values' takes any number of values"),
        (no_schema, "a type hint has no JSON Schema"),
        (unknown_hint, "a type hint can not be resolved: name 'Nowhere' is not defined"),
        (many, "it yields; return the whole output"),
    ],
)
def test_function_that_can_not_be_a_tool_is_refused_with_the_reason(
    function: Callable[..., object], problem: str
) -> None:
    with pytest.raises(ToolDefinitionError, match=problem):
        tool(function)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": "with space"}, "name 'with space' must be 1 to 64 characters"),
        ({"scope": "a.b"}, "scope 'a.b' must be"),
        ({"version": "1"}, "version: '1' is no semantic version"),
        ({"timeout_s": 0}, "timeout_s: 0 must be above 0"),
    ],
)
def test_option_that_can_not_be_is_refused_with_the_reason(options: dict[str, Any], problem: str) -> None:
    def nothing() -> None: ...

    with pytest.raises(ToolDefinitionError, match=problem):
        tool(**options)(nothing)


def test_schema_without_a_strict_form_is_refused_with_the_place() -> None:
    def free(extra: dict[str, int]) -> None: ...

    with pytest.raises(ToolDefinitionError, match="extra: properties of any name are allowed; name them all"):
        tool(strict=True)(free)


RAW: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "options": {"type": "object", "properties": {"deep": {}}}},
    "required": ["path"],
    "additionalProperties": False,
}


@raw_tool(name="raw", description="Raw.", parameters=RAW)
async def raw(arguments: dict[str, Any], context: ToolContext) -> Any:
    del context
    return arguments


async def test_raw_tool_passes_its_schema_and_arguments_through() -> None:
    assert raw.description.parameters == RAW
    assert await run(raw, {"path": "a", "options": '{"deep": 1}'}) == {"path": "a", "options": {"deep": 1}}


async def test_raw_tool_refuses_missing_and_unknown_parameters() -> None:
    with pytest.raises(ArgumentsError) as caught:
        await run(raw, {"paht": "a"})

    assert caught.value.problems == (
        "path: is required and missing",
        "paht: there is no such parameter; there are path, options",
    )


COMMON_HINTS: list[Any] = [
    str,
    int,
    float,
    bool,
    date,
    UUID,
    Unit,
    Place,
    Span,
    str | None,
    list[int],
    dict[str, float],
]
MORE_HINTS: list[Any] = [
    tuple[int, str],
    set[int],
    int | list[str],
    Literal["a", 1],
    Annotated[int, Field(ge=0)],
    Place | Span,
]
HINTS = [*COMMON_HINTS, *MORE_HINTS]


@given(st.lists(st.sampled_from(range(len(HINTS))), max_size=6))
def test_any_signature_of_usual_types_has_a_valid_schema(chosen: list[int]) -> None:
    namespace: dict[str, Any] = {"HINTS": HINTS}
    parameters = ", ".join(f"a{place}: HINTS[{index}]" for place, index in enumerate(chosen))
    exec(f"def made({parameters}): ...", namespace)
    made: FunctionTool[..., Any] = tool(namespace["made"])

    Draft202012Validator.check_schema(made.description.parameters)
    assert list(made.description.parameters["properties"]) == [f"a{place}" for place in range(len(chosen))]
