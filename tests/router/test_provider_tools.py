"""Table 5 of the product: tools that run at the provider."""

from typing import Any

import pytest

from tests.router.default_routes import admitted, refused
from tests.router.test_model_rules import FUNCTION
from tokenbus_router.request_checks import FIELDS
from tokenbus_schemas import ErrorCode
from tokenbus_translate import responses_body

SEARCH = {
    "type": "web_search",
    "search_context_size": "medium",
    "user_location": {"type": "approximate", "country": "CH"},
    "filters": {"allowed_domains": ["example.org"]},
}
FILES = {
    "type": "file_search",
    "vector_store_ids": ["vs_1"],
    "filters": {"type": "eq", "key": "a", "value": "b"},
    "max_num_results": 50,
    "ranking_options": {"ranker": "auto"},
}
PYTHON = {"type": "code_interpreter", "container": {"type": "auto"}}
TOOLS: list[dict[str, Any]] = [
    SEARCH,
    {"type": "web_search", "search_context_size": None},
    {"type": "web_search_preview", "search_context_size": "low"},
    FILES,
    {"type": "file_search", "vector_store_ids": ["vs_1"], "filters": None},
    PYTHON,
    {"type": "code_interpreter", "container": "cntr_1"},
    {"type": "code_interpreter", "container": None},
    {"type": "image_generation", "quality": "low"},
    {"type": "mcp", "server_label": "a", "server_url": "https://example.org/mcp"},
    {"type": "x_search", "allowed_x_handles": ["a"]},
    {"type": "acme:own", "anything": {"goes": [1, None]}},
]


@pytest.mark.parametrize("tool", TOOLS, ids=[str(tool)[:50] for tool in TOOLS])
def test_a_provider_tool_goes_to_responses_untouched_beside_functions(tool: dict[str, Any]) -> None:
    order = admitted("openai/gpt-4.1", tools=[FUNCTION, tool])
    assert {target.api for target in order.targets} == {"responses"}
    assert order.request["tools"] == [FUNCTION, tool]
    sent: Any = responses_body(order.request, model="-")
    assert sent["tools"][1] == tool


@pytest.mark.parametrize("tool", TOOLS, ids=[str(tool)[:50] for tool in TOOLS])
@pytest.mark.parametrize(
    ("model", "options"),
    [("groq/any", {}), ("openai/gpt-oss-120b", {}), ("openai/gpt-4.1", {"api": "chat_completions"})],
)
def test_a_chat_target_refuses_a_provider_tool_by_name(
    tool: dict[str, Any], model: str, options: dict[str, str]
) -> None:
    error = refused(model, tools=[FUNCTION, tool], tokenbus=options)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, "tools[1]")
    assert tool["type"] in error.message


@pytest.mark.parametrize("tool", [SEARCH, FILES, PYTHON])
@pytest.mark.parametrize(
    "field", [{"n": 2}, {"stop": "x"}, {"seed": 1}, {"logit_bias": {"1": 1}}, {"presence_penalty": 1}]
)
def test_what_only_chat_has_is_refused_by_name_beside_a_provider_tool(
    tool: dict[str, Any], field: dict[str, Any]
) -> None:
    error = refused("openai/gpt-4.1", tools=[tool], **field)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, next(iter(field)))
    assert tool["type"] in error.message


GOOD: dict[str, dict[str, Any]] = {"web_search": SEARCH, "file_search": FILES, "code_interpreter": PYTHON}
WRONG: dict[str, list[Any]] = {
    "search_context_size": ["huge", "", 5, [], {}],
    "user_location": ["Bern", 5, []],
    "filters": ["a", 5, []],
    "vector_store_ids": [[], "vs_1", [""], [5], {}, 5],
    "max_num_results": [0, 51, -1, "5", 1.5, True],
    "ranking_options": ["auto", 5, []],
    "container": [5, True, []],
}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        pytest.param(field.tools, field.name, value, id=f"{field.tools}.{field.name} {value}")
        for field in FIELDS
        for value in WRONG[field.name]
    ],
)
def test_a_wrong_value_in_a_provider_tool_is_refused_with_its_place(kind: str, name: str, value: Any) -> None:
    error = refused("openai/gpt-4.1", tools=[FUNCTION, {**GOOD[kind], name: value}])
    assert (error.code, error.param) == (ErrorCode.INVALID_VALUE, f"tools[1].{name}")


@pytest.mark.parametrize("field", [field for field in FIELDS if field.required], ids=lambda field: field.name)
def test_a_provider_tool_without_what_it_needs_is_refused(field: Any) -> None:
    for tool in ({"type": field.tools}, {**GOOD[field.tools], field.name: None}):
        error = refused("openai/gpt-4.1", tools=[tool])
        assert (error.code, error.param) == (ErrorCode.MISSING_PARAMETER, f"tools[0].{field.name}")


def test_chats_own_spelling_of_web_search_is_the_tool_of_the_responses_api() -> None:
    order = admitted("openai/gpt-4.1", web_search_options={"search_context_size": "low"})
    assert {target.api for target in order.targets} == {"responses"}
    assert order.request["tools"] == [{"type": "web_search", "search_context_size": "low"}]


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("openai/gpt-4.1", {"seed": 7}),
        ("openai/gpt-4.1", {"tokenbus": {"api": "chat_completions"}}),
        ("groq/some-model", {}),
        ("groq/some-model", {"tokenbus": {"on_unsupported": "drop"}}),
    ],
)
def test_chats_own_spelling_of_web_search_is_refused_by_name_where_only_chat_is_left(
    model: str, fields: dict[str, Any]
) -> None:
    error = refused(model, web_search_options={}, **fields)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, "web_search_options")


@pytest.mark.parametrize("model", ["openai/gpt-4o-search-preview", "perplexity/sonar-pro"])
def test_models_that_search_by_themselves_take_chats_own_spelling(model: str) -> None:
    options = {"search_context_size": "low"}
    admitted(model, web_search_options=options, tokenbus={"api": "chat_completions"})


def test_a_choice_among_provider_tools_passes() -> None:
    order = admitted("openai/gpt-4.1", tools=[SEARCH], tool_choice={"type": "web_search"})
    assert order.request["tool_choice"] == {"type": "web_search"}
