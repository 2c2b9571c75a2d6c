"""Chat request → Responses → chat: everything that both APIs can say comes back, and each form is the SDK's own."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter

from tokenbus_schemas import RequestError
from tokenbus_translate import ChatDialect, responses_body, to_chat, to_responses

Json = dict[str, Any]

_MESSAGES: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
_ITEMS: TypeAdapter[Any] = TypeAdapter(ResponseInputItemParam)

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_name = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
_schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}

_parts = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": _text}),
        st.tuples(_text, st.sampled_from(["auto", "low", "high"])).map(
            lambda image: {"type": "image_url", "image_url": {"url": image[0], "detail": image[1]}}
        ),
        _text.map(lambda data: {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}),
    ),
    min_size=2,
    max_size=3,
)


@st.composite
def _turns(draw: st.DrawFn) -> list[Json]:
    """What one side says: never two assistant messages in a row, since those come back as one."""
    messages: list[Json] = []
    for number in range(draw(st.integers(1, 4))):
        role = draw(st.sampled_from(["user", "user", "system", "developer"]))
        messages.append({"role": role, "content": draw(_text | _parts) if role == "user" else draw(_text)})
        if not draw(st.booleans()):
            continue
        calls = [
            {"id": f"call_{number}_{index}", "type": "function", "function": {"name": name, "arguments": "{}"}}
            for index, name in enumerate(draw(st.lists(_name, max_size=3)))
        ]
        assistant: Json = {"role": "assistant"}
        if not calls or draw(st.booleans()):
            assistant["content"] = draw(_text)
        if draw(st.booleans()):
            assistant["reasoning_content"] = draw(_text)
        if calls:
            assistant["tool_calls"] = calls
        messages.append(assistant)
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(_text)} for call in calls]
    return messages


_function = st.fixed_dictionaries({"name": _name, "parameters": st.just(_schema)}, optional={"strict": st.just(True)})
_named = _name.map(lambda name: {"type": "function", "function": {"name": name}})
_choice = st.one_of(
    st.sampled_from(["auto", "none", "required"]),
    _named,
    _named.map(lambda tool: {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool]}}),
)
_format = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    _name.map(lambda name: {"type": "json_schema", "json_schema": {"name": name, "schema": _schema, "strict": True}}),
)
_SEARCHES: list[Json] = [
    {},
    {"search_context_size": "low"},
    {"user_location": {"type": "approximate", "approximate": {"country": "FR"}}},
]
_parameters = st.fixed_dictionaries(
    {},
    optional={
        "max_completion_tokens": st.integers(16, 100),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "reasoning_effort": st.sampled_from(["none", "low", "high"]),
        "verbosity": st.sampled_from(["low", "high"]),
        "response_format": _format,
        "metadata": st.dictionaries(_name, _text, max_size=2),
        "user": _text,
        "store": st.just(True),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "prompt_cache_key": _name,
        "safety_identifier": _name,
        "top_logprobs": st.integers(0, 20),
        "logprobs": st.just(True),
        "web_search_options": st.sampled_from(_SEARCHES),
    },
)
_chat_only = st.fixed_dictionaries(
    {}, optional={"n": st.integers(1, 4), "stop": st.lists(_text, min_size=1, max_size=4), "seed": st.integers()}
)
_no_tools: Json = {}
_tools = st.just(_no_tools) | st.fixed_dictionaries(
    {"tools": st.lists(_function.map(lambda f: {"type": "function", "function": f}), min_size=1, max_size=3)},
    optional={"tool_choice": _choice, "parallel_tool_calls": st.booleans()},
)


@given(messages=_turns(), parameters=_parameters, chat_only=_chat_only, tools=_tools)
def test_a_chat_request_survives_the_way_there_and_back(
    messages: list[Json], parameters: Json, chat_only: Json, tools: Json
) -> None:
    request = {"messages": messages, **parameters, **chat_only, **tools}
    there = to_responses(request)
    back = to_chat(there, model="m", dialect=ChatDialect(reasoning_field="reasoning_content"))
    for added in ("model", "stream", "stream_options"):
        del back[added]
    assert back == request
    assert to_responses(there) == there  # what is normal already stays as it is


@given(messages=_turns(), parameters=_parameters, tools=_tools)
def test_both_forms_of_a_request_are_what_the_sdk_takes(messages: list[Json], parameters: Json, tools: Json) -> None:
    there = to_responses({"messages": messages, **parameters, **tools})
    items: Any = responses_body(there, model="m")["input"]
    for item in items:
        _ITEMS.validate_python(item)
    for_chat: Any = to_chat(there, model="m")["messages"]
    for message in for_chat:
        _MESSAGES.validate_python(message)


_WORDS = ["role", "content", "type", "text", "function", "name", "id", "user", "assistant", "tool_calls", "call_id"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(_WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=20,
)
_READ = ["messages", "input", "tools", "tool_choice", "response_format", "web_search_options", "functions", "reasoning"]


@given(body=st.dictionaries(st.sampled_from([*_READ, "function_call", "include", "text", "max_tokens"]), _json))
def test_any_json_is_translated_or_refused_with_a_path(body: Json) -> None:
    there = _tried(lambda: to_responses(body))
    if there is not None:
        _tried(lambda: to_chat(there, model="m"))
        _tried(lambda: responses_body(there, model="m"))


def _tried(step: Callable[[], Json]) -> Json | None:
    try:
        return step()
    except RequestError as error:
        refusal = error.body
    assert refusal.param
    assert refusal.message.startswith(refusal.param)
    return None
