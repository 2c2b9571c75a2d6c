"""A conversation over one WebSocket: what is kept, what is repeated, what goes back to the model."""

from typing import Any

from tokenbus_gateway.continuation import Continuation, as_input, input_items, without_repeats

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
OUTPUT: Json = {"type": "function_call_output", "call_id": "c1", "output": "42"}
USER: Json = {"type": "message", "role": "user", "content": "And?"}


def response(*output: Json, status: str = "completed") -> Json:
    return {"id": "resp_1", "status": status, "output": list(output)}


def after(*output: Json, status: str = "completed") -> Continuation:
    kept = Continuation()
    kept.remember({"input": "Hi"}, response(*output, status=status))
    return kept


def test_the_conversation_is_put_together_in_order() -> None:
    body = after(THOUGHT, SAID, CALL).resolve({"model": "m", "previous_response_id": "resp_1", "input": [OUTPUT]})
    assert body == {
        "model": "m",
        "input": [
            {"type": "message", "role": "user", "content": "Hi"},
            {name: SAID[name] for name in ("type", "role", "content")},
            {name: CALL[name] for name in ("type", "call_id", "name", "arguments")},
            OUTPUT,
        ],
    }


def test_what_the_client_repeats_of_the_answer_is_dropped() -> None:
    repeated_call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
    repeated_text = {"role": "assistant", "content": "Let me see."}
    body = after(SAID, CALL).resolve(
        {"previous_response_id": "resp_1", "input": [repeated_text, repeated_call, OUTPUT]}
    )
    items: Any = body["input"]
    assert [item["type"] for item in items] == ["message", "message", "function_call", "function_call_output"]


def test_the_same_words_said_later_are_kept() -> None:
    again = {"role": "assistant", "content": "Let me see."}
    assert without_repeats([USER, again], [SAID]) == [USER, again]
    assert without_repeats([again, USER], [SAID]) == [USER]
    assert without_repeats([{**again, "content": "Something else."}], [SAID]) != []
    assert without_repeats(["text", again], [SAID]) == ["text", again]


def test_another_id_is_left_to_the_bus() -> None:
    body: Json = {"previous_response_id": "resp_other", "input": "Hi"}
    assert after(SAID).resolve(body) is body
    assert Continuation().resolve(body) is body


def test_a_failed_or_cancelled_answer_is_not_continued() -> None:
    body: Json = {"previous_response_id": "resp_1", "input": "Hi"}
    for status in ("failed", "cancelled"):
        assert after(SAID, status=status).resolve(body) is body


def test_a_failed_turn_forgets_what_it_referred_to() -> None:
    kept = after(SAID)
    kept.forget(None)
    kept.forget("resp_other")
    assert "previous_response_id" not in kept.resolve({"previous_response_id": "resp_1", "input": "x"})
    kept.forget("resp_1")
    assert "previous_response_id" in kept.resolve({"previous_response_id": "resp_1", "input": "x"})


def test_reasoning_goes_back_only_with_its_sealed_content() -> None:
    assert as_input(THOUGHT) is None
    sealed: Json = {**THOUGHT, "encrypted_content": "abc"}
    assert as_input(sealed) == sealed


def test_an_items_own_id_and_our_labels_do_not_go_back() -> None:
    assert as_input({**CALL, "tokenbus:choice": 0}) == {
        name: CALL[name] for name in ("type", "call_id", "name", "arguments")
    }
    search: Json = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    assert as_input(search) == search


def test_text_is_one_message_of_the_user_and_no_input_is_none() -> None:
    assert input_items({"input": "Hi"}) == [{"type": "message", "role": "user", "content": "Hi"}]
    assert input_items({}) == []
