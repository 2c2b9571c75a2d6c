"""A conversation over one WebSocket: what is kept, what is repeated, what goes back to the model."""

from typing import Any

from tokenbus_gateway.continuation import Continuation

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


def response(*output: Json, status: str = "completed", store: bool = False) -> Json:
    return {"id": "resp_1", "status": status, "output": list(output), "store": store}


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


def test_a_stored_answer_is_left_to_the_bus() -> None:
    kept = Continuation()
    kept.remember({"input": "Hi"}, response(SAID, store=True))
    body: Json = {"previous_response_id": "resp_1", "input": "Hi"}
    assert kept.resolve(body) is body


def test_what_an_answer_itself_continued_stays_for_the_bus_to_resolve() -> None:
    kept = Continuation()
    kept.remember({"input": "Hi", "previous_response_id": "resp_0"}, response(SAID))
    body = kept.resolve({"previous_response_id": "resp_1", "input": [USER]})
    assert body["previous_response_id"] == "resp_0"
    items: Any = body["input"]
    assert [item["role"] for item in items] == ["user", "assistant", "user"]
