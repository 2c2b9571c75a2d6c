"""Generated wrong requests: every one is refused with the place that is wrong, and none becomes work."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.default_routes import DROP, TABLE, admitted, order, refused
from tests.router.test_model_rules import SAMPLES
from tokenbus_router.sayable import is_plain, unsayable
from tokenbus_schemas import ErrorBody, RequestError, WorkOrder, check_request
from tokenbus_schemas.requests import Api, ApiChoice, ChatRequest, TokenbusOptions
from tokenbus_translate import to_responses

JSON_TYPES: dict[str, list[Any]] = {
    "boolean": [True],
    "integer": [7],
    "number": [0.5],
    "string": ["x"],
    "array": [[1]],
    "object": [{"a": 1}],
}
SCHEMA = ChatRequest.model_json_schema()


def taken_types(spec: dict[str, Any]) -> set[str]:
    """The JSON types that a field takes, as its schema says."""
    if "$ref" in spec:
        return {"object"}
    types = {part.get("type", "string") for part in spec.get("anyOf", [spec])}
    return types | {"integer"} if "number" in types else types


WRONG_TYPES: list[tuple[str, Any]] = [
    (name, value)
    for name, spec in SCHEMA["properties"].items()
    for kind, values in JSON_TYPES.items()
    for value in values
    if kind not in taken_types(spec)
]
OPTIONS: list[tuple[str, Any]] = [
    (name, value)
    for name, spec in TokenbusOptions.model_json_schema()["properties"].items()
    for kind, values in JSON_TYPES.items()
    for value in values
    if kind not in taken_types(spec) or "enum" in str(spec)
]
UNKNOWN = ["temprature", "Temperature", "max_token", "top_k", "thinking", "extra_body", "", "input ", "modél", "x.y"]
# Fields, and the place that the error must name.
WRONG_PARTS: list[tuple[dict[str, Any], str]] = [
    ({"messages": [], "input": "x"}, "messages"),
    ({"input": [{"content": "x", "role": "cat"}], "seed": 1}, "input[0].role"),
    (
        {"input": [{"type": "message", "role": "user", "content": [{"type": "cat"}]}], "seed": 1},
        "input[0].content[0].type",
    ),
    ({"messages": [{"role": "cat", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "cat"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].id"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}], "seed": 1}, "input[0].content[0].file_data"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"reasoning": {"effort": 5}}, "reasoning.effort"),
    ({"reasoning": {"effort": {"type": "low"}}}, "reasoning.effort"),
    ({"reasoning": {"summary": True}}, "reasoning.summary"),
    ({"text": {"verbosity": ["low"]}}, "text.verbosity"),
    ({"web_search_options": {"search_context_size": "giant"}}, "web_search_options.search_context_size"),
    ({"web_search_options": {"user_location": "Oslo"}}, "web_search_options.user_location"),
    ({"logprobs": False, "include": ["message.output_text.logprobs"]}, "logprobs"),
    ({"logit_bias": {"word": 5}}, "logit_bias.word"),
    ({"logit_bias": {"\u0663": 5}}, "logit_bias.\u0663"),
    ({"logit_bias": {"": 5}}, "logit_bias."),
    ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 65),
    ({"metadata": {"k": "x" * 513}}, "metadata.k"),
    ({"stop": []}, "stop"),
    ({"x" * 5000: 1}, "x" * 120),
    ({"model": "azure/.."}, "model"),
    ({"model": "openai/../files"}, "model"),
    ({"tools": [{"type": ""}]}, "tools[0].type"),
    ({"tools": [{"type": 5}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "a" * 65}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
    ({"tools": [{"type": "function", "name": "f", "strict": "yes"}]}, "tools[0].strict"),
    ({"tools": [{"type": "function", "function": 5}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "custom", "custom": {"name": 5}}]}, "tools[0].custom.name"),
    ({"functions": [{}]}, "functions[0].name"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format.json_schema.schema"),
    ({"text": {"format": 5}}, "text.format"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "a", "schema": 5}}}, "text.format.schema"),
    ({"verbosity": "loud"}, "verbosity"),
    ({"text": {"verbosity": "loud"}}, "text.verbosity"),
    ({"reasoning": {"effort": "extreme"}, "model": "together/any"}, "reasoning.effort"),
    ({"reasoning_effort": "low", "reasoning": {"effort": "high"}, "model": "openai/gpt-5"}, "reasoning_effort"),
    ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
    ({"metadata": {"a": 5}}, "metadata.a"),
    ({"safety_identifier": "x" * 65}, "safety_identifier"),
    ({"prompt_cache_key": "x" * 65}, "prompt_cache_key"),
    ({"truncation": "sometimes"}, "truncation"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"model": "openai/"}, "model"),
    ({"model": "nowhere/x"}, "model"),
    ({"model": "openai/gpt 4"}, "model"),
    ({"model": ""}, "model"),
    ({"tokenbus": {"provider": "groq"}}, "tokenbus.provider"),
    ({"tokenbus": {"provider": "nobody"}}, "tokenbus.provider"),
    ({"tokenbus": {"api": "responses"}, "model": "groq/any"}, "tokenbus.api"),
    ({"tokenbus": {"api": "chat"}}, "tokenbus.api"),
    ({"tokenbus": {"on_unsupported": "ignore"}}, "tokenbus.on_unsupported"),
    ({"tokenbus": {"colour": 1}}, "tokenbus.colour"),
]
MODEL = "openai/gpt-4.1"


def count() -> int:
    return len(WRONG_TYPES) + len(OPTIONS) + len(UNKNOWN) + len(WRONG_PARTS)


def test_there_are_hundreds_of_wrong_requests() -> None:
    assert count() >= 200


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES, ids=[f"{name} {value}" for name, value in WRONG_TYPES])
def test_a_value_of_a_wrong_type_is_refused_by_name(name: str, value: Any) -> None:
    fields: dict[str, Any] = {name: value}
    model = fields.pop("model", MODEL)
    error = refused(model, **fields)
    assert error.param is not None
    assert error.param.partition(".")[0].partition("[")[0] == name


@pytest.mark.parametrize(("name", "value"), OPTIONS, ids=[f"{name} {value}" for name, value in OPTIONS])
def test_a_wrong_option_of_ours_is_refused_by_name(name: str, value: Any) -> None:
    assert refused(MODEL, tokenbus={name: value}).param == f"tokenbus.{name}"


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    error = order(MODEL, **{name: 1})
    assert isinstance(error, ErrorBody)
    assert name in error.message


@pytest.mark.parametrize(("fields", "place"), WRONG_PARTS, ids=[row[1] + str(row[0])[:40] for row in WRONG_PARTS])
def test_a_wrong_part_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    asked = dict(fields)
    model = asked.pop("model", MODEL)
    assert refused(model, **asked).param == place


@pytest.mark.parametrize("name", ["max_tokens", "images", "files", "input_audio", "tools", "provider_tools"])
def test_a_part_without_which_the_request_would_be_another_one_is_never_left_out(name: str) -> None:
    model = {"max_tokens": "telnyx/any", "tools": "telnyx/any"}.get(name, "deepseek/any")
    fields = {**SAMPLES[name].fields, **(SAMPLES["tools"].fields | {"max_tokens": 9} if "telnyx" in model else {})}
    assert isinstance(order(model, **fields, tokenbus=DROP), ErrorBody)


some_samples = st.lists(st.sampled_from(sorted(SAMPLES)), max_size=6).map(
    lambda names: {key: value for name in names for key, value in SAMPLES[name].fields.items()}
)
some_options = st.fixed_dictionaries(
    {},
    optional={
        "api": st.sampled_from(get_args(ApiChoice)),
        "provider": st.sampled_from(["openai", "azure", "groq", "nobody"]),
        "on_unsupported": st.sampled_from(["error", "drop"]),
    },
)
some_model = st.sampled_from([*TABLE.exact, *(f"{family}/any" for family in TABLE.families), "xai/grok-4"])


@given(some_model, some_samples, some_options)
def test_whatever_is_combined_is_admitted_with_all_of_it_or_refused_by_name(
    model: str, fields: dict[str, Any], options: dict[str, Any]
) -> None:
    match order(model, **fields, tokenbus=options):
        case ErrorBody(param=param):
            assert param is not None
        case WorkOrder() as found:
            body = {**fields} if "messages" in fields else {"input": "hi", **fields}
            said = to_responses(body)
            assert found.dropped or {name: found.request.get(name) for name in said} == said
            assert not found.dropped or options.get("on_unsupported") == "drop"


texts: st.SearchStrategy[Any] = st.one_of(st.text(max_size=3), st.none(), st.just([{"type": "text", "text": "x"}]))
messages: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "cat"])},
        optional={
            "content": texts,
            "name": st.just("ann"),
            "type": st.sampled_from(["message", "reasoning"]),
            "tool_call_id": st.just("c1"),
            "tool_calls": st.just([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
        },
    ),
    min_size=1,
    max_size=4,
)
choices = st.sampled_from(
    ["auto", {"type": "function", "name": "f"}, {"type": "file_search"}, {"type": "allowed_tools"}]
)


def in_responses_words(body: dict[str, Any]) -> dict[str, object] | None:
    """None for what is refused before anybody asks whether it is plain."""
    try:
        return to_responses(body)
    except RequestError:
        return None


@given(messages, st.booleans(), choices, st.sampled_from(get_args(Api)))
def test_what_counts_as_plain_is_sure_to_be_sayable(
    said: list[dict[str, Any]], as_items: bool, choice: Any, api: Api
) -> None:
    body: dict[str, Any] = {"input" if as_items else "messages": said, "tool_choice": choice}
    words = in_responses_words(body)
    if words is not None and is_plain(check_request({"model": MODEL, **body})):
        found = TABLE.find(MODEL)
        assert found is not None
        assert unsayable(words, nature=found.candidates[0].nature, api=api) is None


def test_a_request_of_the_plainest_kind_counts_as_plain() -> None:
    assert is_plain(check_request({"model": MODEL, "input": "hi"}))
    assert admitted(MODEL, messages=[{"role": "user", "content": "hi"}]).request["input"]
