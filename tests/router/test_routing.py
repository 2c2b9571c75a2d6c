"""Routing: which targets and which API a request gets, and the field that is named when it gets none."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.routing import Route, route
from tokenbus_router.routing_table import compile_table, model_list, pools, provider_table
from tokenbus_schemas import ErrorBody, ErrorCode, RequestError, Target, check_request
from tokenbus_schemas.requests import Api, ApiChoice
from tokenbus_translate import to_responses

CATALOG = load_catalog("""\
providers:
  both:
    base_url: https://both.example/v1
    api_key_env: BOTH_KEY
    apis: [responses, chat_completions]
  chat:
    base_url: https://chat.example/v1
    pool: shared
  answers:
    base_url: https://answers.example/v1
    apis: [responses]
models:
  lab/one: {targets: [both], aliases: [one]}
  lab/chat: {targets: [chat]}
  lab/answers: {targets: [answers]}
  lab/many: {targets: [chat, {provider: both, model: many-2}, answers]}
  lab/fixed: {targets: [both], api: chat_completions}
  both/*: {targets: [both]}
""")
TABLE = compile_table(CATALOG)


def found(model: str, **fields: Any) -> Route:
    body = {"model": model, "input": "hi", **fields}
    said = to_responses({name: value for name, value in body.items() if name not in ("model", "tokenbus")})
    return route(check_request(body), body=said, table=TABLE)


def routed(model: str = "lab/one", **fields: Any) -> list[str]:
    return [f"{target.provider}:{target.model}:{target.api}" for target in found(model, **fields).targets]


def refused(model: str = "lab/one", **fields: Any) -> ErrorBody:
    with pytest.raises(RequestError) as caught:
        routed(model, **fields)
    return caught.value.body


WEB_SEARCH = {"type": "web_search"}
FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {}}


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("lab/one", ["both:one:responses"]),
        ("one", ["both:one:responses"]),
        ("lab/chat", ["chat:chat:chat_completions"]),
        ("lab/many", ["chat:many:chat_completions", "both:many-2:responses", "answers:many:responses"]),
        ("lab/fixed", ["both:fixed:chat_completions"]),
        ("both/anything", ["both:anything:responses"]),
        ("both/meta/Llama-3.3-70B", ["both:meta/Llama-3.3-70B:responses"]),
    ],
)
def test_a_model_id_gives_its_targets_in_the_order_of_the_catalog(model: str, targets: list[str]) -> None:
    assert routed(model) == targets


def test_a_target_carries_the_pool_of_its_provider() -> None:
    assert [target.pool for target in found("lab/many").targets] == ["shared", "both", "answers"]


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("lab/oen", "did you mean lab/one"),
        ("nowhere/at-all-like-it", "ask for the list of models"),
        ("both/", "write <family>/<name>"),
        ("not a model", "write <family>/<name>"),
        ("lab", "is not in the catalog"),
        ("both", "is not in the catalog"),
    ],
)
def test_an_unknown_model_is_refused_with_a_hint(model: str, hint: str) -> None:
    error = refused(model)
    assert (error.code, error.param) == (ErrorCode.MODEL_NOT_FOUND, "model")
    assert hint in error.message


def test_a_pinned_provider_is_the_only_one_tried() -> None:
    assert routed("lab/many", tokenbus={"provider": "both"}) == ["both:many-2:responses"]


@pytest.mark.parametrize(("pin", "words"), [("answers", "does not serve lab/one"), ("acme", "is not in the catalog")])
def test_a_pinned_provider_that_does_not_serve_the_model_is_refused(pin: str, words: str) -> None:
    error = refused("lab/one", tokenbus={"provider": pin})
    assert (error.code, error.param) == (ErrorCode.PROVIDER_NOT_FOUND, "tokenbus.provider")
    assert words in error.message
    assert error.message.endswith("its providers are: both")


CHAT_ONLY: dict[str, Any] = {
    "n": 2,
    "stop": ["end"],
    "seed": 7,
    "logit_bias": {"50256": -100},
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "prediction": {"type": "content", "content": "x"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "max_output_tokens": 15,
    "max_completion_tokens": 1,
    "max_tokens": 5,
}
RESPONSES_ONLY: dict[str, tuple[Any, str]] = {
    "tools": ([FUNCTION, WEB_SEARCH], "tools[1]"),
    "max_tool_calls": (3, "max_tool_calls"),
    "include": (["message.output_text.logprobs", "reasoning.encrypted_content"], "include[1]"),
    "reasoning": ({"effort": "low", "summary": "auto"}, "reasoning.summary"),
    "text": ({"verbosity": "low", "stop_sequences": ["x"]}, "text.stop_sequences"),
    "truncation": ("auto", "truncation"),
}
EITHER: dict[str, Any] = {
    "tools": [FUNCTION, {"type": "custom", "name": "c"}],
    "include": ["message.output_text.logprobs"],
    "reasoning": {"effort": "low", "summary": None},
    "truncation": "disabled",
    "max_tokens": 16,
    "logprobs": True,
    "temperature": 0.0,
    "stop": None,
    "n": 1,
    "presence_penalty": 0.0,
    "logit_bias": {},
    "modalities": ["text"],
    "text": {"verbosity": "low", "format": {"type": "text"}},
    "background": False,
    "tokenbus": {"api": "auto", "recovery": "fail", "on_unsupported": "error"},
}


@pytest.mark.parametrize("field", CHAT_ONLY)
def test_a_chat_only_parameter_picks_a_chat_target(field: str) -> None:
    assert routed("lab/many", **{field: CHAT_ONLY[field]}) == [
        "chat:many:chat_completions",
        "both:many-2:chat_completions",
    ]


@pytest.mark.parametrize("field", RESPONSES_ONLY)
def test_a_responses_only_parameter_leaves_chat_targets_out(field: str) -> None:
    assert routed("lab/many", **{field: RESPONSES_ONLY[field][0]}) == [
        "both:many-2:responses",
        "answers:many:responses",
    ]


@pytest.mark.parametrize("field", EITHER)
def test_what_both_apis_have_leaves_the_choice_to_the_catalog(field: str) -> None:
    assert routed("lab/one", **{field: EITHER[field]}) == ["both:one:responses"]
    assert routed("lab/chat", **{field: EITHER[field]}) == ["chat:chat:chat_completions"]


@pytest.mark.parametrize("field", CHAT_ONLY)
@pytest.mark.parametrize(("model", "options"), [("lab/answers", {}), ("lab/one", {"api": "responses"})])
def test_a_chat_only_parameter_without_a_chat_target_is_refused_by_name(
    field: str, model: str, options: dict[str, str]
) -> None:
    error = refused(model, **{field: CHAT_ONLY[field]}, tokenbus=options)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, field)


@pytest.mark.parametrize("field", RESPONSES_ONLY)
@pytest.mark.parametrize(
    ("model", "options"), [("lab/chat", {}), ("lab/fixed", {}), ("lab/one", {"api": "chat_completions"})]
)
def test_a_responses_only_parameter_with_a_chat_target_is_refused_by_name(
    field: str, model: str, options: dict[str, str]
) -> None:
    value, path = RESPONSES_ONLY[field]
    error = refused(model, **{field: value}, tokenbus=options)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, path)


@pytest.mark.parametrize("chat_only", CHAT_ONLY)
@pytest.mark.parametrize("responses_only", RESPONSES_ONLY)
def test_parameters_that_want_different_apis_are_refused_by_name(chat_only: str, responses_only: str) -> None:
    value, path = RESPONSES_ONLY[responses_only]
    error = refused("lab/many", **{chat_only: CHAT_ONLY[chat_only], responses_only: value})
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, chat_only)
    assert path in error.message


@pytest.mark.parametrize(("api", "only"), [("responses", "answers"), ("chat_completions", "chat")])
def test_a_wished_api_keeps_the_targets_that_have_it(api: str, only: str) -> None:
    assert routed("lab/many", tokenbus={"api": api, "provider": only}) == [f"{only}:many:{api}"]


@pytest.mark.parametrize(("model", "api"), [("lab/chat", "responses"), ("lab/fixed", "responses")])
def test_a_wished_api_that_no_target_has_is_refused(model: str, api: str) -> None:
    error = refused(model, tokenbus={"api": api})
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_VALUE, "tokenbus.api")


optional_fields = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(value) for name, value in CHAT_ONLY.items()},
        **{name: st.just(value) for name, (value, _) in RESPONSES_ONLY.items()},
        "tokenbus": st.fixed_dictionaries(
            {},
            optional={
                "api": st.sampled_from(get_args(ApiChoice)),
                "provider": st.sampled_from(["both", "chat", "answers", "acme"]),
            },
        ),
    },
)


def route_or_error(model: str, fields: dict[str, Any]) -> tuple[Target, ...] | ErrorBody:
    try:
        return found(model, **fields).targets
    except RequestError as error:
        return error.body


@given(st.sampled_from([*TABLE.exact, "both/x", "lab/x"]), optional_fields)
def test_every_request_gets_fitting_targets_or_an_error_that_names_a_field(model: str, fields: dict[str, Any]) -> None:
    offered: dict[str, tuple[Api, ...]] = {row.name: row.apis for row in provider_table(CATALOG).providers}
    match route_or_error(model, fields):
        case ErrorBody(param=param):
            assert param is not None
        case targets:
            assert targets
            assert all(target.api in offered[target.provider] for target in targets)
            assert fields.get("tokenbus", {}).get("provider") in (None, *(target.provider for target in targets))
            if set(fields) & set(CHAT_ONLY):
                assert {target.api for target in targets} == {"chat_completions"}
            if set(fields) & set(RESPONSES_ONLY):
                assert {target.api for target in targets} == {"responses"}


def test_executors_learn_every_provider_without_its_key() -> None:
    rows = {row.name: row for row in provider_table(CATALOG).providers}
    assert (rows["both"].api_key_env, rows["both"].pool, rows["both"].apis) == (
        "BOTH_KEY",
        "both",
        ("responses", "chat_completions"),
    )
    assert (rows["chat"].api_key_env, rows["chat"].pool, rows["chat"].apis) == (None, "shared", ("chat_completions",))


def test_each_pool_is_listed_once() -> None:
    assert pools(CATALOG) == ["both", "shared", "answers"]


def test_the_model_list_names_ids_aliases_and_patterns_with_their_providers() -> None:
    listed = {model.id: model.providers for model in model_list(CATALOG).models}
    assert listed["one"] == listed["lab/one"] == ["both"]
    assert listed["lab/many"] == ["chat", "both", "answers"]
    assert listed["both/*"] == ["both"]
