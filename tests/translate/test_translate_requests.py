"""Requests both ways, trap by trap."""

from collections.abc import Callable
from typing import Any

import pytest

from tokenbus_schemas import ErrorBody, ErrorCode, RequestError
from tokenbus_translate import ChatDialect, ResponsesDialect, responses_body, to_chat, to_responses

Json = dict[str, Any]

_CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_FLAT_CALL: Json = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
_FUNCTION: Json = {"name": "f", "parameters": {"type": "object"}}


def _items(*messages: Json) -> Any:
    return to_responses({"messages": list(messages)})["input"]


def _messages(*items: Json, dialect: ChatDialect | None = None) -> Any:
    return to_chat({"input": list(items)}, model="m", dialect=dialect)["messages"]


def _refused(translate: Callable[[Json], Json], body: Json) -> ErrorBody:
    with pytest.raises(RequestError) as caught:
        translate(body)
    refusal = caught.value.body
    assert refusal.param is not None
    assert refusal.message.startswith(f"{refusal.param}: ")
    return refusal


def _for_chat(body: Json) -> Json:
    return to_chat(body, model="m")


def _for_responses(body: Json) -> Json:
    return responses_body(body, model="m")


_SPELLINGS: list[tuple[Json, Json]] = [
    ({"max_tokens": 20}, {"max_output_tokens": 20}),
    ({"max_completion_tokens": 20}, {"max_output_tokens": 20}),
    ({"max_completion_tokens": 20, "max_tokens": 20}, {"max_output_tokens": 20}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    (
        {"reasoning_effort": "low", "reasoning": {"summary": "auto"}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
    ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}},
    ),
    ({"logprobs": True, "top_logprobs": 2}, {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    ({"logprobs": False}, {}),
    (
        {"tools": [{"type": "function", "function": _FUNCTION}]},
        {"tools": [{"type": "function", **_FUNCTION, "strict": False}]},
    ),
    (
        {"tools": [{"type": "function", "function": {**_FUNCTION, "strict": True}}]},
        {"tools": [{"type": "function", **_FUNCTION, "strict": True}]},
    ),
    ({"tools": [{"type": "function", **_FUNCTION}]}, {"tools": [{"type": "function", **_FUNCTION}]}),
    (
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    ),
    (
        {
            "tools": [
                {
                    "type": "custom",
                    "custom": {
                        "name": "c",
                        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                    },
                }
            ]
        },
        {
            "tools": [
                {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
            ]
        },
    ),
    (
        {"functions": [_FUNCTION], "function_call": {"name": "f"}},
        {
            "tools": [{"type": "function", **_FUNCTION, "strict": False}],
            "tool_choice": {"type": "function", "name": "f"},
        },
    ),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tool_choice": {"type": "function", "name": "f"}},
    ),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
    ),
    (
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
            }
        },
        {
            "tools": [
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "city": "Rome"},
                }
            ]
        },
    ),
    ({"stream": True, "stream_options": {"include_usage": True}, "temperature": None}, {}),
    ({"n": 2, "stop": ["x"], "seed": 1, "user": "u"}, {"n": 2, "stop": ["x"], "seed": 1, "user": "u"}),
]


@pytest.mark.parametrize(("chat", "responses"), _SPELLINGS)
def test_a_chat_parameter_gets_its_responses_name(chat: Json, responses: Json) -> None:
    assert to_responses({"input": "x", **chat}) == {"input": "x", **responses}


def test_a_chat_request_is_not_stored_unless_it_says_so() -> None:
    messages = [{"role": "user", "content": "x"}]
    assert to_responses({"messages": messages})["store"] is False
    assert to_responses({"messages": messages, "store": True})["store"] is True
    assert "store" not in to_responses({"input": "x"})


_CONTRADICTIONS: list[tuple[Json, str]] = [
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"max_tokens": 5, "max_output_tokens": 6}, "max_tokens"),
    ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning_effort"),
    ({"response_format": {"type": "text"}, "text": {"format": {"type": "json_object"}}}, "response_format"),
    ({"function_call": "auto", "tool_choice": "none"}, "function_call"),
]


@pytest.mark.parametrize(("body", "param"), _CONTRADICTIONS)
def test_two_spellings_that_contradict_each_other_are_refused(body: Json, param: str) -> None:
    refusal = _refused(to_responses, {"input": "x", **body})
    assert refusal.code is ErrorCode.INVALID_REQUEST
    assert refusal.param == param


_UNREADABLE: list[tuple[Json, str]] = [
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "hologram"}]}]},
        "messages[0].content[1].type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
        "messages[0].content[0].image_url",
    ),
    ({"messages": [{"role": "assistant", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"type": "function", "id": "c"}]}]},
        "messages[0].tool_calls[0].function",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
        "messages[0].tool_calls[0].id",
    ),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].name"),
    ({"input": "x", "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"input": "x", "tools": [{"name": "f"}]}, "tools[0].type"),
    ({"input": "x", "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    ({"input": "x", "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"input": "x", "response_format": "json"}, "response_format"),
]


@pytest.mark.parametrize(("body", "param"), _UNREADABLE)
def test_what_can_not_be_read_is_refused_by_its_path(body: Json, param: str) -> None:
    assert _refused(to_responses, body).param == param


def test_an_assistant_message_becomes_its_text_and_one_item_per_call() -> None:
    second = {**_CALL, "id": "call_2"}
    items = _items(
        {"role": "assistant", "content": "Hm", "reasoning_content": "why", "tool_calls": [_CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "2"}]},
    )
    assert items == [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]},
        {"type": "message", "role": "assistant", "content": "Hm"},
        _FLAT_CALL,
        {**_FLAT_CALL, "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "2"}]},
    ]


def test_assistant_parts_are_output_and_refusals() -> None:
    [item] = _items({"role": "assistant", "content": [{"type": "text", "text": "a"}], "refusal": "no"})
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]


def test_user_parts_become_input_parts_with_what_openai_demands() -> None:
    [item] = _items(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:"}},
            ],
        }
    )
    assert item["content"] == [
        {"type": "input_text", "text": "see", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:"},
    ]


def test_the_deprecated_function_form_pairs_call_and_output_by_name() -> None:
    call, output = _items(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    )
    assert (call["type"], output["type"]) == ("function_call", "function_call_output")
    assert call["call_id"] == output["call_id"]


def test_custom_calls_keep_their_form_both_ways() -> None:
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "py", "input": "1+1"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "2"},
    ]
    items = _items(*messages)
    assert [item["type"] for item in items] == ["custom_tool_call", "custom_tool_call_output"]
    assert _messages(*items) == messages


def test_contiguous_assistant_items_become_one_message() -> None:
    messages = _messages(
        {"type": "message", "role": "user", "content": "q"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me "}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "look"}]},
        _FLAT_CALL,
        {**_FLAT_CALL, "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_2", "output": "2"},
        _FLAT_CALL | {"call_id": "call_3"},
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert messages[1] == {
        "role": "assistant",
        "content": "Let me look",
        "tool_calls": [_CALL, {**_CALL, "id": "call_2"}],
    }
    assert messages[4] == {"role": "assistant", "tool_calls": [{**_CALL, "id": "call_3"}]}


_REASONED = (
    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]},
    _FLAT_CALL,
    {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "lost"}]},
    {"type": "message", "role": "user", "content": "?"},
)


def test_reasoning_goes_back_where_the_provider_wants_it() -> None:
    messages = _messages(*_REASONED, dialect=ChatDialect(reasoning_field="reasoning_content"))
    assert messages[0]["reasoning_content"] == "why"
    assert [message["role"] for message in messages] == ["assistant", "tool", "user"]


def test_reasoning_is_left_out_elsewhere_and_never_becomes_an_empty_message() -> None:
    messages = _messages(*_REASONED)
    assert messages[0] == {"role": "assistant", "tool_calls": [_CALL]}
    assert [message["role"] for message in messages] == ["assistant", "tool", "user"]


def test_instructions_lead_and_developers_are_called_what_the_provider_calls_them() -> None:
    body = {
        "instructions": "Be brief",
        "input": [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}],
    }
    assert to_chat(body, model="m", dialect=ChatDialect(developer_role="system"))["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "system", "content": "x"},
        {"role": "user", "content": "y"},
    ]


def test_a_chat_request_streams_with_usage_and_names_the_limit_as_the_provider_does() -> None:
    chat = to_chat({"input": "x", "max_output_tokens": 9}, model="m", dialect=ChatDialect(max_tokens_name="max_tokens"))
    assert chat["stream"] is True
    assert chat["stream_options"] == {"include_usage": True}
    assert chat["max_tokens"] == 9
    assert "max_completion_tokens" not in chat


def test_without_tools_chat_gets_no_parameters_about_them() -> None:
    chat = to_chat({"input": "x", "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, model="m")
    assert not chat.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


_NOT_CHAT: list[tuple[Json, str]] = [
    ({"truncation": "auto"}, "truncation"),
    ({"max_tool_calls": 2}, "max_tool_calls"),
    ({"include": ["reasoning.encrypted_content"]}, "include"),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, "reasoning.summary"),
    ({"tools": [{"type": "web_search", "filters": {}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "name": "f"}, {"type": "code_interpreter"}]}, "tools[1].type"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
    ({"input": [{"type": "web_search_call", "id": "x"}]}, "input[0].type"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].file_id",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
        "input[0].content[0].file_url",
    ),
    ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input[0].content[0].type"),
    (
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": "u"}],
                }
            ]
        },
        "input[0].output[0].type",
    ),
    ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id"),
]


@pytest.mark.parametrize(("body", "param"), _NOT_CHAT)
def test_what_chat_can_not_say_is_refused_by_its_path(body: Json, param: str) -> None:
    assert _refused(_for_chat, {"input": "x", **body}).param == param


_NOT_RESPONSES: list[tuple[Json, str]] = [
    ({"n": 2}, "n"),
    ({"stop": "x"}, "stop"),
    ({"seed": 1}, "seed"),
    ({"logit_bias": {"1": 2}}, "logit_bias"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"prediction": {"type": "content"}}, "prediction"),
    ({"max_output_tokens": 15}, "max_output_tokens"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "input[0].content[0].type",
    ),
    ({"input": [{"role": "user", "name": "Ann", "content": "x"}]}, "input[0].name"),
]


@pytest.mark.parametrize(("body", "param"), _NOT_RESPONSES)
def test_what_responses_can_not_say_is_refused_by_its_path(body: Json, param: str) -> None:
    assert _refused(_for_responses, {"input": "x", **body}).param == param


def test_a_chat_only_parameter_that_says_nothing_is_left_out_of_a_responses_request() -> None:
    body = {
        "input": "x",
        "n": 1,
        "frequency_penalty": 0,
        "logit_bias": {},
        "tokenbus": {"api": "responses"},
        "model": "a/b",
    }
    assert responses_body(body, model="b") == {
        "model": "b",
        "input": "x",
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }


def test_a_responses_server_may_take_chat_parameters() -> None:
    dialect = ResponsesDialect(chat_parameters=frozenset({"seed"}))
    assert responses_body({"input": "x", "seed": 1}, model="m", dialect=dialect)["seed"] == 1


def test_reasoning_keeps_its_id_and_its_secret_and_plain_reasoning_of_others_is_left_out() -> None:
    sealed: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    stored: Json = {"type": "reasoning", "id": "rs_2", "summary": []}
    plain = {"type": "reasoning", "id": "rs_3", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}
    body = {"input": [sealed, stored, plain]}
    assert responses_body(body, model="m")["input"] == [sealed, stored]
    kept = responses_body(body, model="m", dialect=ResponsesDialect(keeps_plain_reasoning=True))
    assert kept["input"] == [sealed, stored, plain]


def test_assistant_text_is_output_and_foreign_ids_are_left_out() -> None:
    body = {
        "input": [
            {"role": "assistant", "content": [{"type": "input_text", "text": "a"}]},
            {**_FLAT_CALL, "id": "toolu_1", "tokenbus:choice": 0},
            {**_FLAT_CALL, "id": "fc_1"},
        ]
    }
    assert responses_body(body, model="m")["input"] == [
        {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        _FLAT_CALL,
        {**_FLAT_CALL, "id": "fc_1"},
    ]
