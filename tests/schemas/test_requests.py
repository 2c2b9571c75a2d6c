"""The shape of a chat request: every wrong field is named, with what to send instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import ERRORS, ErrorCode, RequestError, check_request
from tokenbus_schemas.requests import MAX_DEPTH

GOOD = {"model": "openai/gpt-4.1-mini", "input": "hi"}


def problem(body: object) -> tuple[str, str | None, str]:
    with pytest.raises(RequestError) as caught:
        check_request(body)
    error = caught.value.body
    return error.code.value, error.param, error.message


@pytest.mark.parametrize(
    ("change", "code", "param", "says"),
    [
        ({"model": None}, "invalid_value", "model", "must be a string, not null"),
        ({"model": 1}, "invalid_value", "model", "must be a string, not an integer"),
        ({"model": ""}, "invalid_value", "model", "at least 1 character"),
        ({"foo": 1}, "unknown_parameter", "foo", "remove it or correct its name"),
        ({"input": 3}, "invalid_value", "input", "must be a string or a list"),
        ({"input": ["x"]}, "invalid_value", "input[0]", "must be an object, not a string"),
        ({"input": ""}, "invalid_value", "input", "is empty"),
        ({"input": []}, "invalid_value", "input", "is empty"),
        ({"messages": [{"role": "user", "content": "x"}]}, "invalid_request", "messages", "send one of"),
        ({"temperature": 3}, "invalid_value", "temperature", "less than or equal to 2"),
        ({"temperature": "1"}, "invalid_value", "temperature", "must be a number, not a string"),
        ({"n": True}, "invalid_value", "n", "must be an integer, not true or false"),
        ({"stop": ["1", "2", "3", "4", "5"]}, "invalid_value", "stop", "must have at most 4 items"),
        ({"logit_bias": {"5": "a"}}, "invalid_value", "logit_bias.5", "must be an integer"),
        ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias.5", "less than or equal to 100"),
        ({"top_logprobs": 2}, "invalid_request", "top_logprobs", "send `logprobs` true"),
        ({"top_logprobs": 2, "logprobs": False}, "invalid_request", "top_logprobs", "send `logprobs` true"),
        ({"top_logprobs": 21, "logprobs": True}, "invalid_value", "top_logprobs", "less than or equal to 20"),
        ({"tokenbus": 3}, "invalid_value", "tokenbus", "must be an object"),
        ({"tokenbus": {"api": "chat"}}, "invalid_value", "tokenbus.api", "'chat_completions'"),
        ({"tokenbus": {"pin": "x"}}, "unknown_parameter", "tokenbus.pin", "remove it"),
        ({"metadata": {"a": 1}}, "invalid_value", "metadata.a", "must be a string, not an integer"),
    ],
)
def test_a_wrong_field_is_named_with_the_fix(change: dict[str, object], code: str, param: str, says: str) -> None:
    found_code, found_param, message = problem({**GOOD, **change})

    assert (found_code, found_param) == (code, param)
    assert message.startswith(f"{param}: ")
    assert says in message


@pytest.mark.parametrize(
    "asking", [{"logprobs": True}, {"include": ["message.output_text.logprobs"]}, {"top_logprobs": 0}]
)
def test_alternatives_come_with_log_probabilities_in_either_spelling(asking: dict[str, object]) -> None:
    assert check_request({**GOOD, "top_logprobs": 2, **asking}).top_logprobs is not None


@pytest.mark.parametrize("body", [None, [], "text", 3, True])
def test_a_payload_that_is_no_object_is_refused(body: object) -> None:
    assert problem(body)[0] == "invalid_json"


def test_a_request_without_input_is_refused() -> None:
    assert problem({"model": "m"})[:2] == ("missing_required_parameter", "input")


def test_the_wrong_value_itself_is_never_quoted() -> None:
    assert "secret" not in problem({**GOOD, "temperature": "secret"})[2]


def nested(levels: int) -> object:
    value: object = "inmost"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("name", ["text", "response_format", "tool_choice", "zzz"])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 260, 10_000])
def test_what_later_parts_could_not_carry_is_refused_by_name(name: str, levels: int) -> None:
    code, param, message = problem({**GOOD, name: nested(levels)})
    assert (code, param) == ("invalid_value", name)
    assert "nested too deeply; send at most 100 levels" in message


def test_the_deepest_request_passes() -> None:
    check_request({**GOOD, "text": {"a": nested(MAX_DEPTH - 1)}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["model", "input", "messages", "tools", "stop", "n", "tokenbus", "text", "logit_bias", "zzz"])


@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_any_json_object_is_taken_or_refused_with_a_place(body: dict[str, object]) -> None:
    refused: RequestError | None = None
    try:
        check_request(body)
    except RequestError as error:
        refused = error

    assert refused is None or refused.body.message.startswith(f"{refused.body.param}: ")


def test_every_error_code_has_its_facts() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert all(facts.meaning.endswith(".") for facts in ERRORS.values())
