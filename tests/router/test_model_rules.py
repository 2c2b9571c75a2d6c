"""The default catalog's rules about parameters, row by row: each is made into requests that it decides."""

from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from tests.router.default_routes import CATALOG, DROP, admitted, order, refused
from tokenbus_router.catalog import RuleEntry
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.parameters import BY_NAME
from tokenbus_router.routing import route
from tokenbus_router.routing_table import compile_table
from tokenbus_schemas import ErrorBody, ErrorCode, check_request
from tokenbus_translate import to_responses

FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
STRICT: dict[str, Any] = {**FUNCTION, "name": "g", "strict": True}


def said_by_user(content: object, **fields: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content, **fields}]}


class Sample(NamedTuple):
    """A parameter in use."""

    fields: dict[str, Any]
    path: str


IMAGE = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
FILE = [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}]
AUDIO = [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

SAMPLES: dict[str, Sample] = {
    "temperature": Sample({"temperature": 0.5}, "temperature"),
    "top_p": Sample({"top_p": 0.5}, "top_p"),
    "max_tokens": Sample({"max_completion_tokens": 100}, "max_completion_tokens"),
    "reasoning_effort": Sample({"reasoning_effort": "low"}, "reasoning_effort"),
    "n": Sample({"n": 2}, "n"),
    "stop": Sample({"stop": ["end"]}, "stop"),
    "seed": Sample({"seed": 7}, "seed"),
    "logit_bias": Sample({"logit_bias": {"50256": -100}}, "logit_bias"),
    "frequency_penalty": Sample({"frequency_penalty": 0.5}, "frequency_penalty"),
    "presence_penalty": Sample({"presence_penalty": 0.5}, "presence_penalty"),
    "prediction": Sample({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    "modalities": Sample({"modalities": ["text", "audio"]}, "modalities"),
    "audio": Sample({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    "logprobs": Sample({"logprobs": True}, "logprobs"),
    "top_logprobs": Sample({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, "top_logprobs"),
    "parallel_tool_calls": Sample({"tools": [FUNCTION], "parallel_tool_calls": False}, "parallel_tool_calls"),
    "tool_choice": Sample({"tools": [FUNCTION], "tool_choice": "required"}, "tool_choice"),
    "response_format": Sample({"response_format": SCHEMA}, "response_format"),
    "verbosity": Sample({"verbosity": "low"}, "verbosity"),
    "text_options": Sample({"text": {"colour": "red"}}, "text.colour"),
    "reasoning_summary": Sample({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
    "reasoning_options": Sample({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    "include": Sample({"include": ["reasoning.encrypted_content"]}, "include[0]"),
    "max_tool_calls": Sample({"max_tool_calls": 3}, "max_tool_calls"),
    "truncation": Sample({"truncation": "auto"}, "truncation"),
    "metadata": Sample({"metadata": {"job": "7"}}, "metadata"),
    "store": Sample({"store": True}, "store"),
    "service_tier": Sample({"service_tier": "flex"}, "service_tier"),
    "safety_identifier": Sample({"safety_identifier": "u1"}, "safety_identifier"),
    "user": Sample({"user": "u1"}, "user"),
    "prompt_cache_key": Sample({"prompt_cache_key": "k"}, "prompt_cache_key"),
    "prompt_cache_retention": Sample({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
    "prompt_cache_options": Sample({"prompt_cache_options": {"a": 1}}, "prompt_cache_options"),
    "tools": Sample({"tools": [FUNCTION]}, "tools[0]"),
    "custom_tools": Sample({"tools": [{"type": "custom", "name": "c"}]}, "tools[0]"),
    "provider_tools": Sample({"tools": [{"type": "web_search"}]}, "tools[0]"),
    "web_search_options": Sample({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    "out_of_turn": Sample(
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "messages[1]"
    ),
    "images": Sample(said_by_user(IMAGE), "messages[0].content[0]"),
    "files": Sample(said_by_user(FILE), "messages[0].content[0]"),
    "input_audio": Sample(said_by_user(AUDIO), "messages[0].content[0]"),
    "mixed_strict": Sample({"tools": [FUNCTION, STRICT]}, "tools[1]"),
    "speaker_names": Sample(said_by_user("hi", name="ann"), "messages[0].name"),
}

VALUES: dict[str, dict[str, Any]] = {
    "response_format": {"text": {"type": "text"}, "json_object": {"type": "json_object"}, "json_schema": SCHEMA}
}


def test_every_parameter_has_a_sample() -> None:
    assert set(SAMPLES) == set(BY_NAME)


def model_of(rule: RuleEntry, prefix: str) -> str:
    """A model that the rule is about."""
    if rule.providers:
        return f"{rule.providers[0]}/{prefix or 'some-model'}"
    if not prefix:
        return "openai/some-model" if rule.api == "responses" else "together/some-model"
    return f"xai/{prefix}" if prefix.startswith("grok") else f"openai/{prefix}"


def condition(rule: RuleEntry) -> dict[str, Any]:
    """Fields that make the rule hold."""
    fields: dict[str, Any] = {}
    for name in rule.given:
        fields |= SAMPLES[name].fields
    for name, values in rule.when.items():
        fields[name] = values[0]
    if rule.api is not None:
        fields["tokenbus"] = {"api": rule.api}
    return fields


class Case(NamedTuple):
    rule: RuleEntry
    model: str
    parameter: str


def cases(kind: str) -> list[Any]:
    found: list[Any] = []
    for rule in CATALOG.rules:
        for prefix in rule.models or [""]:
            for parameter in getattr(rule, kind):
                case = Case(rule, model_of(rule, prefix), parameter)
                found.append(pytest.param(case, id=f"{case.model} {parameter}"))
    return found


@pytest.mark.parametrize("case", cases("refuse"))
def test_a_parameter_that_a_rule_refuses_is_named_with_the_model_and_the_rule(case: Case) -> None:
    sample = SAMPLES[case.parameter]
    error = refused(case.model, **{**sample.fields, **condition(case.rule)})
    # Alternatives are asked for with log probabilities: whichever of both is named first.
    assert error.param in ({sample.path, "include[0]"} if case.parameter == "top_logprobs" else {sample.path})
    assert error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert case.model in error.message
    assert case.rule.rule in error.message


@pytest.mark.parametrize("case", cases("refuse"))
def test_a_refused_parameter_is_left_out_and_reported_where_that_is_asked_for(case: Case) -> None:
    sample = SAMPLES[case.parameter]
    fields = {**sample.fields, **condition(case.rule)}
    fields["tokenbus"] = {**fields.get("tokenbus", {}), **DROP}
    found = order(case.model, **fields)
    if BY_NAME[case.parameter].drop is None:
        assert isinstance(found, ErrorBody)
        assert found.param == sample.path
        assert "drop" not in found.message
        return
    assert not isinstance(found, ErrorBody), found
    assert sample.path in found.dropped
    assert sample.path.partition(".")[0].partition("[")[0] not in found.request


@pytest.mark.parametrize("case", cases("take"))
def test_a_parameter_that_an_exception_takes_reaches_the_work_order(case: Case) -> None:
    sample = SAMPLES[case.parameter]
    assert admitted(case.model, **{**sample.fields, **condition(case.rule)}).dropped == []


@pytest.mark.parametrize("case", cases("values"))
def test_the_values_that_a_rule_allows_are_taken_and_all_others_named(case: Case) -> None:
    allowed = case.rule.values[case.parameter]
    sample = SAMPLES[case.parameter]
    written = VALUES.get(case.parameter, {})
    for value in allowed:
        fields = {**sample.fields, **condition(case.rule), case.parameter: written.get(value, value)}
        admitted(case.model, **fields)
    others = ["required"] if case.parameter == "tool_choice" else ["extreme", "max", "minimal", "none", "xhigh"]
    for value in written or others:
        if value not in allowed:
            fields = {**sample.fields, **condition(case.rule), case.parameter: written.get(value, value)}
            error = refused(case.model, **fields)
            assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_VALUE, sample.path)
            assert f"takes {', '.join(allowed)}: {case.rule.rule}" in error.message


def test_a_condition_that_is_not_met_leaves_a_rule_without_effect() -> None:
    limited = {"max_tokens": 100}
    assert admitted("telnyx/some-model", **limited).dropped == []
    assert refused("telnyx/some-model", **limited, tools=[FUNCTION]).param == "max_tokens"
    assert admitted("openai/gpt-5.4", reasoning_effort="low", tools=[FUNCTION]).targets[0].api == "responses"


def test_what_is_left_out_may_bring_another_rule_into_effect() -> None:
    """Without its effort `none` the model reasons, and takes no temperature."""
    catalog = load_catalog("""\
providers: {lab: {base_url: https://lab.example/v1}}
rules:
  - {rule: tools leave no choice, given: [tools], refuse: [reasoning_effort]}
  - {rule: it does not reason, when: {reasoning_effort: [none]}, take: [temperature]}
  - {rule: it reasons, refuse: [temperature]}
""")
    body = {"input": "hi", "tools": [FUNCTION], "reasoning_effort": "none", "temperature": 0.5}
    request = check_request({"model": "lab/one", **body, "tokenbus": DROP})
    found = route(request, body=to_responses(body), table=compile_table(catalog))
    assert sorted(found.dropped) == ["reasoning_effort", "temperature"]
    assert "temperature" not in found.body
    assert "reasoning" not in found.body


@pytest.mark.parametrize("model", ["gpt-5.1", "gpt-5.2-2025-12-11", "gpt-5.4", "gpt-5.4-mini"])
def test_what_reasons_only_if_told_to_samples_as_it_is_told(model: str) -> None:
    assert admitted(f"openai/{model}", temperature=0.5).dropped == []
    assert admitted(f"openai/{model}", temperature=0.5, reasoning_effort="none").dropped == []
    assert refused(f"openai/{model}", temperature=0.5, reasoning_effort="low").param == "temperature"
    assert refused(f"openai/{model}", presence_penalty=0.5).param == "presence_penalty"


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5-mini", "gpt-5.2-chat-latest", "gpt-5.2-codex", "gpt-5.5", "o3"])
def test_what_reasons_by_itself_samples_as_it_likes(model: str) -> None:
    assert refused(f"openai/{model}", temperature=0.5).param == "temperature"


TURNS: list[tuple[str, str | None]] = [
    ("u", None),
    ("suau", None),
    ("ssu", None),
    ("ddu", None),
    ("uaau", None),
    ("uat", None),
    ("uatau", None),
    ("su", None),
    ("uu", "[1]"),
    ("suua", "[2]"),
    ("usu", "[1]"),
    ("uasu", "[2]"),
    ("ua", "[1]"),
    ("uaa", "[2]"),
]
ROLES = {"s": "system", "d": "developer", "u": "user", "a": "assistant", "t": "tool"}


@pytest.mark.parametrize(("turns", "path"), TURNS)
def test_perplexity_gets_only_messages_that_take_turns(turns: str, path: str | None) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": ROLES[turn], "content": "x", **({"tool_call_id": "c1"} if turn == "t" else {})} for turn in turns
    ]
    for message, following in pairwise(messages):
        if following["role"] == "tool":
            message["tool_calls"] = [call]
    items: list[dict[str, Any]] = [
        {"type": "function_call_output", "call_id": "c1", "output": "x"}
        if message["role"] == "tool"
        else {"role": message["role"], "content": "x"}
        for message in messages
    ]
    for name, said in (("messages", messages), ("input", items)):
        if path is None:
            admitted("perplexity/sonar-pro", **{name: said})
        else:
            assert refused("perplexity/sonar-pro", **{name: said}).param == f"{name}{path}"
        admitted("together/some-model", **{name: said})


def test_names_of_speakers_pick_chat_and_are_left_out_of_a_request_for_the_other_api() -> None:
    named = SAMPLES["speaker_names"].fields
    assert admitted("openai/gpt-4.1", **named).targets[0].api == "chat_completions"
    search = {"tools": [{"type": "web_search"}]}
    assert refused("openai/gpt-4.1", **named, **search).param == "messages[0].name"
    found = admitted("openai/gpt-4.1", **named, **search, tokenbus=DROP)
    assert found.dropped == ["messages[0].name"]
    assert found.request["input"] == [{"type": "message", "role": "user", "content": "hi"}]


NEUTRAL: list[tuple[str, object]] = [
    ("temperature", 1),
    ("top_p", 1.0),
    ("n", 1),
    ("frequency_penalty", 0),
    ("presence_penalty", 0.0),
    ("logit_bias", {}),
    ("logprobs", False),
    ("top_logprobs", 0),
]


@pytest.mark.parametrize(("name", "value"), NEUTRAL)
def test_a_value_that_says_nothing_is_no_reason_to_refuse_and_does_not_go_out(name: str, value: object) -> None:
    found = admitted("openai/gpt-5", **{name: value})
    assert name not in found.request
    assert found.dropped == []


@pytest.mark.parametrize(("name", "value"), NEUTRAL)
def test_a_value_that_says_nothing_stays_where_no_rule_is_about_it(name: str, value: object) -> None:
    if name != "logprobs":
        assert admitted("openai/gpt-4.1", **{name: value}).request[name] == value


def test_a_provider_that_does_not_take_a_parameter_falls_out_and_the_others_stay() -> None:
    assert [target.provider for target in admitted("openai/gpt-oss-120b", logprobs=True).targets] == ["baseten"]
    assert [target.provider for target in admitted("openai/gpt-oss-120b").targets] == ["baseten", "groq"]


def test_a_provider_that_takes_everything_is_preferred_to_leaving_something_out() -> None:
    found = admitted("openai/gpt-oss-120b", logprobs=True, tokenbus=DROP)
    assert ([target.provider for target in found.targets], found.dropped) == (["baseten"], [])
    pinned = admitted("openai/gpt-oss-120b", logprobs=True, tokenbus={"provider": "groq", **DROP})
    assert pinned.dropped == ["logprobs"]
    assert "include" not in pinned.request


def test_what_only_chat_has_is_left_out_beside_provider_tools_if_that_is_asked_for() -> None:
    fields: dict[str, Any] = {"stop": "x", "n": 2, "tools": [{"type": "web_search"}]}
    found = admitted("openai/gpt-4.1", **fields, tokenbus=DROP)
    assert {target.api for target in found.targets} == {"responses"}
    assert sorted(found.dropped) == ["n", "stop"]
    assert "stop" not in found.request
    assert found.request["tools"] == [{"type": "web_search"}]


def test_a_provider_tool_is_never_left_out() -> None:
    error = refused("groq/some-model", tools=[{"type": "web_search"}], tokenbus=DROP)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, "tools[0]")
    assert "web_search" in error.message
