"""Table 2 of the product, row by row: what is taken, what is out of range, and what the work order says of it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.router.default_routes import TABLE, admitted, refused
from tests.router.test_model_rules import FUNCTION
from tokenbus_router.parameters import BY_NAME
from tokenbus_schemas import ErrorCode
from tokenbus_schemas.requests import ChatRequest
from tokenbus_translate import responses_body, to_chat

LOGPROBS = "message.output_text.logprobs"
NAMED = {"type": "function", "function": {"name": "f"}}


@dataclass(frozen=True)
class Row:
    """A parameter of the table."""

    name: str
    taken: list[Any]
    """Values at the ends of its range, and of each type."""
    wrong: list[Any]
    said: str = ""
    """Where the work order has it, as `field` or `field.key`; empty: under its own name."""
    beside: dict[str, Any] = field(default_factory=dict[str, Any])
    """What else the request has."""


ROWS = [
    Row("temperature", [0, 0.0, 0.7, 2, 2.0], [-0.1, 2.1, "1", True, [1]]),
    Row("top_p", [0, 0.5, 1], [-0.1, 1.1, "1", True]),
    Row("max_tokens", [16, 1, 100_000], [0, -1, 1.5, "5", True], said="max_output_tokens"),
    Row("max_completion_tokens", [16, 1, 100_000], [0, -1, 1.5, "5", True], said="max_output_tokens"),
    Row("max_output_tokens", [16, 1, 100_000], [0, -1, 1.5, "5", True]),
    Row("frequency_penalty", [-2, -2.0, 0.1, 2], [-2.1, 2.1, "0", True]),
    Row("presence_penalty", [-2, -2.0, 0.1, 2], [-2.1, 2.1, "0", True]),
    Row("seed", [0, -1, 2**40], [1.5, "7", True]),
    Row("stop", ["end", ["a"], ["a", "b", "c", "d"]], [[], ["a", "b", "c", "d", "e"], 5, [5]]),
    Row("n", [2, 128], [0, -1, 129, 1.5, "2", True]),
    Row("logprobs", [True], ["true", 1], said="include"),
    Row("top_logprobs", [0, 20], [-1, 21, 1.5, "2"], beside={"logprobs": True}),
    Row("logit_bias", [{"50256": -100}, {"1": 100}], [{"1": 101}, {"1": -101}, {"1": 0.5}, {"1": "a"}, [1], "1"]),
    Row("parallel_tool_calls", [True, False], ["yes", 1], beside={"tools": [FUNCTION]}),
    Row(
        "tool_choice",
        ["auto", "required", "none", NAMED, {"type": "function", "name": "f"}],
        ["any", 5, {"type": "function", "name": "g"}, {"type": "function", "function": {"name": "g"}}],
        beside={"tools": [FUNCTION]},
    ),
]
EFFORTS = Row(
    "reasoning_effort", ["none", "low", "medium", "high", "xhigh"], ["extreme", "", 5, True], said="reasoning.effort"
)
ON_REASONING = {"temperature", "top_p", "n", "logprobs", "top_logprobs", "logit_bias"} | {
    "frequency_penalty",
    "presence_penalty",
}


def value_at(body: dict[str, Any], place: str) -> Any:
    for key in place.split("."):
        body = body[key]
    return body


@pytest.mark.parametrize(
    ("row", "value"),
    [pytest.param(row, value, id=f"{row.name} {value}") for row in ROWS for value in row.taken],
)
def test_a_value_in_its_range_reaches_the_work_order(row: Row, value: Any) -> None:
    request = admitted("openai/gpt-4.1", **{**row.beside, row.name: value}).request
    said = value_at(request, row.said or row.name)
    if row.name == "logprobs":
        assert said == [LOGPROBS]
    elif row.name == "tool_choice" and isinstance(value, dict):
        assert said == {"type": "function", "name": "f"}
    else:
        assert said == value


@pytest.mark.parametrize(
    ("row", "value"),
    [pytest.param(row, value, id=f"{row.name} {value}") for row in ROWS for value in row.wrong],
)
def test_a_value_out_of_its_range_is_refused_by_name(row: Row, value: Any) -> None:
    error = refused("openai/gpt-4.1", **{**row.beside, row.name: value})
    assert error.code is ErrorCode.INVALID_VALUE
    assert error.param is not None
    assert error.param.partition(".")[0].partition("[")[0] == row.name


@pytest.mark.parametrize("value", EFFORTS.taken)
def test_a_reasoning_model_takes_its_efforts(value: str) -> None:
    for spelled in ({"reasoning_effort": value}, {"reasoning": {"effort": value}}):
        assert admitted("openai/gpt-5.4", **spelled).request["reasoning"] == {"effort": value}


@pytest.mark.parametrize("value", EFFORTS.wrong)
def test_an_effort_that_is_none_is_refused(value: Any) -> None:
    assert refused("openai/gpt-5.4", reasoning_effort=value).param == "reasoning_effort"


@pytest.mark.parametrize("name", sorted(ON_REASONING))
@pytest.mark.parametrize("model", ["openai/gpt-5", "openai/gpt-5-mini", "openai/gpt-5.1-chat-latest", "openai/o3"])
def test_what_reasoning_models_do_not_take_is_refused_by_name(model: str, name: str) -> None:
    row = next(row for row in ROWS if row.name == name)
    value = 5 if name == "top_logprobs" else row.taken[-1] if name in ("n", "logprobs", "logit_bias") else 0.5
    error = refused(model, **{**row.beside, name: value})
    assert error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert error.param in (name, "logprobs")
    assert model in error.message


@pytest.mark.parametrize("model", ["openai/gpt-4.1", "openai/gpt-4o-mini"])
def test_an_effort_is_for_reasoning_models_only(model: str) -> None:
    assert refused(model, reasoning_effort="low").param == "reasoning_effort"
    assert refused(model, reasoning={"effort": "low"}).param == "reasoning.effort"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_limit_of_tokens_has_each_targets_own_name(name: str) -> None:
    for model, called in [
        ("openai/gpt-5", "max_completion_tokens"),
        ("groq/any", "max_completion_tokens"),
        ("deepseek/any", "max_tokens"),
    ]:
        request = admitted(model, **{name: 500}, tokenbus={"api": "chat_completions"})
        assert request.request["max_output_tokens"] == 500
        found = TABLE.find(model)
        assert found is not None
        chat = to_chat(request.request, model="-", dialect=found.candidates[0].nature.chat)
        limits = {"max_tokens", "max_completion_tokens", "max_output_tokens"} & set(chat)
        assert limits == {called}


@pytest.mark.parametrize(
    "limits",
    [{"max_tokens": 20, "max_completion_tokens": 30}, {"max_tokens": 20, "max_output_tokens": 30}],
)
def test_two_limits_that_differ_contradict_each_other(limits: dict[str, int]) -> None:
    assert refused("openai/gpt-4.1", **limits).code is ErrorCode.INVALID_REQUEST


def test_a_limit_that_responses_does_not_take_goes_to_chat() -> None:
    assert {target.api for target in admitted("openai/gpt-4.1", max_tokens=15).targets} == {"chat_completions"}
    error = refused("openai/gpt-4.1", max_tokens=15, tokenbus={"api": "responses"})
    assert error.param == "max_tokens"
    assert "no limit below 16" in error.message


@pytest.mark.parametrize("spelled", [{"logprobs": True}, {"include": [LOGPROBS]}])
def test_log_probabilities_go_both_ways(spelled: dict[str, Any]) -> None:
    for api in ("responses", "chat_completions"):
        request = admitted("openai/gpt-4.1", **spelled, top_logprobs=3, tokenbus={"api": api}).request
        if api == "responses":
            sent = responses_body(request, model="-")
            assert (sent["include"], sent["top_logprobs"]) == ([LOGPROBS], 3)
        else:
            sent = to_chat(request, model="-")
            assert (sent["logprobs"], sent["top_logprobs"]) == (True, 3)
            assert "include" not in sent


EITHER_API: list[tuple[str, Any, str, Any, str, Any]] = [
    # field, value; where Responses has it, and how; where Chat has it, and how
    ("verbosity", "low", "text.verbosity", "low", "verbosity", "low"),
    ("text", {"verbosity": "low"}, "text.verbosity", "low", "verbosity", "low"),
    ("reasoning_effort", "low", "reasoning.effort", "low", "reasoning_effort", "low"),
    ("service_tier", "flex", "service_tier", "flex", "service_tier", "flex"),
    ("safety_identifier", "u", "safety_identifier", "u", "safety_identifier", "u"),
    ("user", "u", "user", "u", "user", "u"),
    ("metadata", {"a": "b"}, "metadata.a", "b", "metadata.a", "b"),
    ("store", True, "store", True, "store", True),
    ("prompt_cache_key", "k", "prompt_cache_key", "k", "prompt_cache_key", "k"),
    ("prompt_cache_retention", "24h", "prompt_cache_retention", "24h", "prompt_cache_retention", "24h"),
    ("prompt_cache_options", {"a": 1}, "prompt_cache_options.a", 1, "prompt_cache_options.a", 1),
    (
        "response_format",
        {"type": "json_object"},
        "text.format.type",
        "json_object",
        "response_format.type",
        "json_object",
    ),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
        "text.format.name",
        "a",
        "response_format.json_schema.name",
        "a",
    ),
    (
        "text",
        {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
        "text.format.schema.type",
        "object",
        "response_format.json_schema.schema.type",
        "object",
    ),
]


@pytest.mark.parametrize(("name", "value", "place", "said", "chat_place", "chat_said"), EITHER_API)
def test_what_both_apis_have_is_mapped_in_both(
    name: str, value: Any, place: str, said: Any, chat_place: str, chat_said: Any
) -> None:
    request = admitted("openai/gpt-5", **{name: value}, tokenbus={"api": "responses"}).request
    assert value_at(responses_body(request, model="-"), place) == said
    request = admitted("openai/gpt-5", **{name: value}, tokenbus={"api": "chat_completions"}).request
    assert value_at(to_chat(request, model="-"), chat_place) == chat_said


PICTURE = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"}
UPLOADED = {"type": "input_image", "file_id": "file_1", "detail": "auto"}
PAPER = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}
LINKED = {"type": "input_file", "file_url": "https://example.org/a.pdf"}
SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
NOT_IN_CHAT: list[tuple[dict[str, Any], str]] = [
    (UPLOADED, "input[0].content[0].file_id"),
    (LINKED, "input[0].content[0].file_url"),
]


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("part", [PICTURE, PAPER])
def test_images_and_files_go_through_both_apis(part: dict[str, Any], api: str) -> None:
    items = [{"type": "message", "role": "user", "content": [part]}]
    assert admitted("openai/gpt-4.1", input=items, tokenbus={"api": api}).targets[0].api == api


@pytest.mark.parametrize(("part", "path"), NOT_IN_CHAT)
def test_what_chat_can_not_say_of_the_input_goes_to_responses_or_is_refused_by_name(
    part: dict[str, Any], path: str
) -> None:
    items = [{"type": "message", "role": "user", "content": [part]}]
    assert admitted("openai/gpt-4.1", input=items).targets[0].api == "responses"
    assert refused("openai/gpt-4.1", input=items, tokenbus={"api": "chat_completions"}).param == path
    assert refused("groq/any", input=items).param == path
    assert refused("openai/gpt-4.1", input=items, seed=7).param == path


def test_audio_goes_to_chat_and_is_named_as_the_caller_wrote_it() -> None:
    messages: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": "x",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "y"},
        {"role": "user", "content": [{"type": "text", "text": "hear"}, SOUND]},
    ]
    assert admitted("openai/gpt-4.1", messages=messages).targets[0].api == "chat_completions"
    error = refused("openai/gpt-4.1", messages=messages, tokenbus={"api": "responses"})
    assert error.param == "messages[2].content[1]"


def test_every_field_of_a_request_has_a_row_or_is_no_parameter() -> None:
    known = {field for parameter in BY_NAME.values() for field in parameter.fields}
    own = {"model", "instructions", "previous_response_id", "background", "tokenbus"}
    assert set(ChatRequest.model_fields) - known == own | {"stream", "stream_options"}
