"""The pure parts of the tool loop: which functions may be run, which items wait for the client, what is told next."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.conftest import target
from tests.executor.tool_serving import function
from tests.valid_stream import Json
from tokenbus_executor.conversation import Conversation
from tokenbus_executor.function_tools import NamedTool, defined, not_offered, runnable, undefined
from tokenbus_executor.sealed_reasoning import INCLUDE, seals
from tokenbus_executor.tool_calls import asks_client, runnable_calls
from tokenbus_executor.tool_outputs import text_only
from tokenbus_schemas.tools import ToolDescription

CALL: Json = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT: Json = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "done"}
SEALED: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
SUMMARY: Json = {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Hm."}]}
OPEN: Json = {"type": "reasoning", "id": "rs_3", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
HERE, ELSEWHERE = target("m"), target("m", provider="other")


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({}, set[str]()),
        ({"tools": None}, set[str]()),
        ({"tools": [function("f"), {"type": "web_search"}, {"type": "custom", "name": "c"}]}, {"f"}),
        ({"tools": [function("with.dot"), function("ö"), function("x" * 65), function("ok-1_")]}, {"ok-1_"}),
        ({"tools": [function("f")], "n": 1}, {"f"}),
        ({"tools": [function("f")], "n": 2}, set[str]()),
    ],
)
def test_only_functions_that_are_offered_and_could_be_served_are_run(request_: Json, names: set[str]) -> None:
    assert runnable(request_) == names


def test_a_tool_without_parameters_takes_those_of_its_service() -> None:
    request = {"tools": [function("f"), {"type": "function", "name": "g", "strict": False, "description": "Mine."}]}
    described = ToolDescription(name="g", description="Theirs.", parameters={"type": "object"}, strict=True)

    assert undefined(request) == [NamedTool(1, "g")]
    assert defined(request, {1: described})["tools"] == [
        function("f"),
        {"type": "function", "name": "g", "description": "Mine.", "parameters": {"type": "object"}, "strict": True},
    ]


def test_a_tool_that_nobody_defines_is_named_by_its_place() -> None:
    error = not_offered(NamedTool(3, "x" * 500)).body

    assert (error.code, error.param) == ("invalid_value", "tools[3]")
    assert len(error.message) < 250


def test_calls_are_counted_over_all_function_calls_of_a_round() -> None:
    message: Json = {"type": "message", "id": "msg_1"}
    foreign = {**CALL, "call_id": "call_2", "name": "mine"}
    spaced = {**CALL, "call_id": "call_3", "namespace": "crm"}
    last = {**CALL, "call_id": "call_4", "id": "fc_4"}
    said: list[Json] = [message, CALL, foreign, spaced, last]
    calls = runnable_calls(said, first_index=10, functions=frozenset({"f"}))

    assert [(call.index, call.output_index, call.call_id) for call in calls] == [(0, 11, "call_1"), (3, 14, "call_4")]


@pytest.mark.parametrize(
    ("items", "asks"),
    [
        ([CALL], True),
        ([CALL, OUTPUT], False),
        ([{"type": "message", "id": "msg_1"}], False),
        ([{"type": "web_search_call", "id": "ws_1", "status": "completed"}], False),
        ([CALL, OUTPUT, {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"}], True),
        ([CALL, OUTPUT, {"type": "computer_call", "call_id": "call_2"}], True),
        ([CALL, OUTPUT, {"type": "mcp_approval_request", "id": "mcpr_1"}], True),
        (
            [{"type": "shell_call", "call_id": "call_3"}, {"type": "shell_call_output", "call_id": "call_3"}],
            False,
        ),
    ],
)
def test_an_item_waits_for_the_client_until_it_has_its_output(items: list[Json], asks: bool) -> None:
    assert asks_client(items) is asks


@pytest.mark.parametrize(
    ("name", "sealing"),
    [
        ("gpt-5", True),
        ("gpt-5.2", True),
        ("openai/gpt-6.1-sol", True),
        ("gpt-5-mini-2025-08-07", True),
        ("o3", True),
        ("o4-mini", True),
        ("gpt-5-chat-latest", False),
        ("gpt-5.1-chat-latest", False),
        ("gpt-4.1-mini", False),
        ("gpt-4o", False),
        ("gpt-oss-120b", False),
        ("o3d-print", False),
        ("my-deployment", False),
    ],
)
def test_reasoning_is_sealed_by_the_models_of_the_table(name: str, sealing: bool) -> None:
    assert seals([name], request={}) is sealing


def test_a_request_that_sets_reasoning_is_for_a_model_that_seals_it() -> None:
    assert seals(["my-deployment"], request={"reasoning": {"effort": "low"}})
    assert not seals(["my-deployment"], request={"reasoning": {"effort": None}})


def told(request: Json, *items: Json, to: Any = HERE, by: Any = HERE) -> list[Any]:
    conversation = Conversation(request, model="lab/one")
    conversation.add(by, items)
    input_: Any = conversation.request_for(to, last=False)["input"]
    return input_


def test_the_first_round_asks_what_the_request_asks() -> None:
    request = {"input": "Hi.", "tool_choice": "required"}

    assert Conversation(request, model="lab/one").request_for(HERE, last=False) == request


def test_the_whole_conversation_is_told_again() -> None:
    asked = {"type": "message", "role": "user", "content": "Hi."}

    assert told({"input": "Hi."}, CALL, OUTPUT) == [asked, CALL, OUTPUT]
    assert told({"input": [asked]}, CALL, OUTPUT) == [asked, CALL, OUTPUT]


@pytest.mark.parametrize(
    ("item", "to", "store", "readable"),
    [
        (SEALED, HERE, None, True),
        (SEALED, HERE, False, True),
        (SEALED, ELSEWHERE, None, False),
        (SUMMARY, HERE, None, True),
        (SUMMARY, HERE, False, False),
        (SUMMARY, ELSEWHERE, None, False),
        (OPEN, HERE, False, True),
        (OPEN, ELSEWHERE, False, True),
        (SEALED, target("m", api="chat_completions"), False, True),
    ],
)
def test_reasoning_goes_back_to_whoever_can_read_it(item: Json, to: Any, store: bool | None, readable: bool) -> None:
    assert (item in told({"input": "Hi.", "store": store}, item, CALL, OUTPUT, to=to)) is readable


@pytest.mark.parametrize(
    ("choice", "then"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "auto"),
        ({"type": "function", "name": "f"}, "auto"),
        ({"type": "web_search"}, "auto"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ),
    ],
)
def test_a_forced_choice_is_free_after_the_first_round(choice: Any, then: Any) -> None:
    conversation = Conversation({"input": "Hi.", "tool_choice": choice}, model="lab/one")
    assert conversation.request_for(HERE, last=False)["tool_choice"] == choice

    conversation.add(HERE, [CALL, OUTPUT])
    assert conversation.request_for(HERE, last=False)["tool_choice"] == then
    assert conversation.request_for(HERE, last=True)["tool_choice"] == "none"


def test_what_the_caller_includes_stays() -> None:
    wanted = ["message.output_text.logprobs"]
    asked = Conversation({"input": "Hi.", "include": wanted}, model="openai/gpt-5").request_for(HERE, last=False)
    again = Conversation(asked, model="openai/gpt-5").request_for(HERE, last=False)

    assert asked["include"] == again["include"] == [*wanted, INCLUDE]


def test_what_chat_can_not_take_of_an_output_becomes_words() -> None:
    output = [{"type": "input_text", "text": "A"}, {"type": "input_file", "filename": "b"}]

    assert text_only({**OUTPUT, "output": output})["output"] == [
        {"type": "input_text", "text": "A"},
        {"type": "input_text", "text": "[a file left out: this model takes text only as the output of a tool]"},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(tools=JSON, choice=JSON, n=JSON, include=JSON, items=st.lists(st.dictionaries(st.text(), JSON)))
def test_no_shape_of_request_or_item_breaks_the_reading(
    tools: Any, choice: Any, n: Any, include: Any, items: list[Json]
) -> None:
    request = {"input": "Hi.", "tools": tools, "tool_choice": choice, "n": n, "include": include}
    functions = runnable(request)
    undefined(request)
    runnable_calls(items, first_index=0, functions=functions)
    asks_client(items)
    conversation = Conversation(request, model="openai/gpt-5")
    conversation.add(HERE, items)
    conversation.request_for(HERE, last=False)
    conversation.request_for(target("m", api="chat_completions"), last=True)
