"""A conversation that goes on: an answer as input, and what a client repeats of it."""

from typing import Any

from tokenbus_translate.continuation import as_input, as_inputs, input_items, without_repeats

Json = dict[str, Any]

SAID: Json = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
}
CALL: Json = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c1",
    "name": "f",
    "arguments": "{}",
}
THOUGHT: Json = {"id": "rs_1", "type": "reasoning", "summary": []}
SEALED: Json = {**THOUGHT, "encrypted_content": "abc"}
OPEN: Json = {**THOUGHT, "content": [{"type": "reasoning_text", "text": "Hm."}]}
OUTPUT: Json = {"type": "function_call_output", "call_id": "c1", "output": "42"}
USER: Json = {"type": "message", "role": "user", "content": "And?"}


def test_the_same_words_said_later_are_kept() -> None:
    again = {"role": "assistant", "content": "Let me see."}
    assert without_repeats([USER, again], [SAID]) == [USER, again]
    assert without_repeats([again, USER], [SAID]) == [USER]
    assert without_repeats([{**again, "content": "Something else."}], [SAID]) != []
    assert without_repeats(["text", again], [SAID]) == ["text", again]


def test_a_tools_output_that_the_answer_has_is_a_repeat() -> None:
    assert without_repeats([CALL, OUTPUT, USER], [CALL, {**OUTPUT, "id": "fco_1"}]) == [USER]
    assert without_repeats([CALL, OUTPUT], [CALL]) == [OUTPUT]


def test_an_item_of_the_same_id_is_a_repeat() -> None:
    search: Json = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    assert without_repeats([{**search, "action": {}}, USER], [search]) == [USER]


def test_reasoning_goes_back_sealed_or_open() -> None:
    assert as_input(THOUGHT) is None
    assert as_input(SEALED) == SEALED
    assert as_input(OPEN) == OPEN


def test_reasoning_that_led_to_nothing_goes_no_further() -> None:
    cut: Json = {**CALL, "status": "incomplete", "arguments": '{"a'}
    assert as_inputs([SEALED]) == []
    assert as_inputs([SEALED, cut]) == []
    assert [item["type"] for item in as_inputs([SEALED, SAID, SEALED, cut])] == ["reasoning", "message"]
    assert [item["type"] for item in as_inputs([SEALED, CALL, OUTPUT])] == [
        "reasoning",
        "function_call",
        "function_call_output",
    ]


def test_an_items_own_id_and_our_labels_do_not_go_back() -> None:
    assert as_input({**CALL, "tokenbus:choice": 0}) == {
        name: CALL[name] for name in ("type", "call_id", "name", "arguments")
    }
    search: Json = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    assert as_input(search) == search


def test_text_is_one_message_of_the_user_and_no_input_is_none() -> None:
    assert input_items({"input": "Hi"}) == [{"type": "message", "role": "user", "content": "Hi"}]
    assert input_items({}) == []
