"""Responses upstreams, trap by trap."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tokenbus_schemas import ErrorBody, ErrorCode, Event
from tokenbus_translate import ResponseAssembly, ResponsesStream

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]
Answer = Callable[..., Json]

_USAGE: Json = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
_ERROR = ErrorBody(ErrorCode.INTERNAL_ERROR, "a test")


def _event(event_type: str, **fields: Any) -> Json:
    return {"type": f"response.{event_type}", **fields}


def _sse(*events: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), orjson.dumps(e)) for e in events)


def _completed(*output: Json, **fields: Any) -> Json:
    return _event("completed", response={"id": "resp_up", "status": "completed", "output": list(output), **fields})


def _added(item_type: str, index: int | None = 0, **fields: Any) -> Json:
    place = {} if index is None else {"output_index": index}
    return _event("output_item.added", **place, item={"type": item_type, "status": "in_progress", **fields})


def _text_delta(text: str, *, item_id: str | None = "msg_1", index: int | None = 0, **fields: Any) -> Json:
    names: Json = {"item_id": item_id, "output_index": index, "content_index": 0}
    return _event("output_text.delta", **{k: v for k, v in names.items() if v is not None}, delta=text, **fields)


_CREATED = _event("created", response={"id": "resp_up"})
_MESSAGE = _added("message", id="msg_1", role="assistant", content=[])
_SEARCH: Json = {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "q", "queries": ["q"]}}


@pytest.fixture
def answer(assemble: Assemble, checked: Checked) -> Answer:
    """The response that upstream events make, checked in every way; `events` holds the parsed events."""

    def run(*upstream: Json) -> Json:
        assembly = assemble()
        stream = ResponsesStream(assembly)
        events = stream.feed(_sse(*upstream)) + stream.close()
        if stream.ending is None:
            assert stream.failure is not None
            events += assembly.fail(stream.failure.error)
        else:
            events += assembly.finish(stream.ending, now=1_790_000_009)
        parsed = checked(events)
        response: Json = parsed[-1]["response"]
        return {**response, "events": parsed}

    return run


def _text(response: Json) -> str:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part.get("text", "") for item in messages for part in item["content"])


def _types(response: Json) -> list[str]:
    return [event["type"].removeprefix("response.") for event in response["events"]]


def test_identity_and_numbers_are_ours_and_obfuscation_is_gone(answer: Answer) -> None:
    delta = _text_delta("a", obfuscation="xyz", sequence_number=99, logprobs=[])
    response = answer(_CREATED, _MESSAGE, delta, _completed(usage=_USAGE, service_tier="priority"))
    assert response["id"] == "resp_r1"
    assert response["model"] == "openai/gpt-4.1-mini"
    assert response["service_tier"] == "priority"
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert not any("obfuscation" in event for event in response["events"])


def test_the_upstreams_own_id_is_kept_for_resuming(assemble: Assemble) -> None:
    stream = ResponsesStream(assemble())
    stream.feed(_sse(_CREATED))
    assert stream.upstream_id == "resp_up"


def test_item_ids_are_kept_and_a_second_item_of_one_id_gets_its_own(answer: Answer) -> None:
    done = _event("output_item.done", output_index=0, item={"type": "message", "id": "msg_1", "content": []})
    again = {**_MESSAGE, "output_index": 1}
    response = answer(_MESSAGE, _text_delta("a"), done, again, _text_delta("b", index=1), _completed())
    ids = [item["id"] for item in response["output"]]
    assert ids[0] == "msg_1"
    assert ids[1] != "msg_1"
    assert _text(response) == "ab"


def test_reasoning_keeps_its_id_and_its_encrypted_content_together(answer: Answer) -> None:
    item: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
    response = answer(
        _added("reasoning", id="rs_1", summary=[], encrypted_content="seal"),
        _event("output_item.done", output_index=0, item=item),
        {**_MESSAGE, "output_index": 1},
        _text_delta("a", index=1),
        _completed(),
    )
    assert (response["output"][0]["id"], response["output"][0]["encrypted_content"]) == ("rs_1", "sealed")


def test_deltas_without_any_item_open_one(answer: Answer) -> None:
    response = answer(
        _text_delta("a", item_id=None, index=None), _text_delta("b", item_id=None, index=None), _completed()
    )
    assert _text(response) == "ab"
    assert len(response["output"]) == 1


def test_an_upstream_that_names_no_item_as_llama_cpp(answer: Answer) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    response = answer(
        _added("message", None, role="assistant", content=[]),
        _text_delta("a", item_id=None, index=None),
        _event("output_item.done", item={"type": "message", "content": [{"type": "output_text", "text": "a"}]}),
        _added("function_call", None, **call, arguments=""),
        _event("function_call_arguments.delta", delta="{}"),
        _event("output_item.done", item={**call, "arguments": "{}"}),
        _completed(),
    )
    assert _text(response) == "a"
    assert response["output"][1]["arguments"] == "{}"


def test_a_done_that_says_what_no_delta_said_is_told(answer: Answer) -> None:
    done = _event("output_text.done", item_id="msg_1", output_index=0, content_index=0, text="whole")
    assert _text(answer(_MESSAGE, done, _completed())) == "whole"


def test_a_done_that_says_more_than_its_deltas_completes_them(answer: Answer) -> None:
    done = _event("output_text.done", item_id="msg_1", output_index=0, content_index=0, text="whole")
    response = answer(_MESSAGE, _text_delta("who"), done, _completed())
    assert _text(response) == "whole"


def test_a_done_that_contradicts_its_deltas_changes_nothing(answer: Answer) -> None:
    done = _event("output_text.done", item_id="msg_1", output_index=0, content_index=0, text="other")
    assert _text(answer(_MESSAGE, _text_delta("who"), done, _completed())) == "who"


def test_an_upstream_with_only_a_completed_event_as_ours_to_repair(answer: Answer) -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "all"}]}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    response = answer(_CREATED, _completed(message, call, _SEARCH | {"status": "completed"}))
    assert _text(response) == "all"
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "web_search_call"]


def test_an_empty_final_output_takes_nothing_away(answer: Answer) -> None:
    assert _text(answer(_MESSAGE, _text_delta("a"), _completed())) == "a"


def test_other_ids_in_the_final_output_do_not_repeat_the_answer(answer: Answer) -> None:
    final = {
        "type": "message",
        "id": "msg_other",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "a"}],
    }
    response = answer(_MESSAGE, _text_delta("a"), _completed(final))
    assert _text(response) == "a"
    assert [item["id"] for item in response["output"]] == ["msg_1"]


def test_missing_dones_are_made(answer: Answer) -> None:
    types = _types(answer(_MESSAGE, _text_delta("a"), _completed()))
    assert types[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]


@pytest.mark.parametrize("logprobs", [None, []])
def test_missing_logprobs_are_an_empty_list(answer: Answer, logprobs: object) -> None:
    response = answer(_MESSAGE, _text_delta("a", logprobs=logprobs), _completed())
    assert next(e for e in response["events"] if e["type"] == "response.output_text.delta")["logprobs"] == []


def test_log_probabilities_of_the_done_event_are_kept(answer: Answer) -> None:
    entry = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
    names = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    done = _event("output_text.done", **names, text="a", logprobs=[entry])
    response = answer(_MESSAGE, _text_delta("a"), done, _completed())
    assert response["output"][0]["content"][0]["logprobs"] == [entry]


@pytest.mark.parametrize("names", ["reasoning_part", "content_part"])
def test_vllms_reasoning_parts_are_content_parts(answer: Answer, names: str) -> None:
    where = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    response = answer(
        _added("reasoning", id="rs_1", summary=[]),
        _event(f"{names}.added", **where, part={"type": "reasoning_text", "text": ""}),
        _event("reasoning_text.delta", **where, delta="hm"),
        _event("reasoning_text.done", **where, text="hm"),
        _event(f"{names}.done", **where, part={"type": "reasoning_text", "text": "hm"}),
        _completed(),
    )
    assert response["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert "content_part.added" in _types(response)
    assert not any(name.startswith("reasoning_part") for name in _types(response))


def test_open_responses_reasoning_events_get_openais_names(answer: Answer) -> None:
    delta = _event("reasoning.delta", item_id="rs_1", output_index=0, content_index=0, delta="hm")
    assert "reasoning_text.delta" in _types(answer(_added("reasoning", id="rs_1", summary=[]), delta, _completed()))


def test_reasoning_summaries_keep_their_parts(answer: Answer) -> None:
    def part(index: int, text: str) -> list[Json]:
        where = {"item_id": "rs_1", "output_index": 0, "summary_index": index}
        return [
            _event("reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""}),
            _event("reasoning_summary_text.delta", **where, delta=text),
            _event("reasoning_summary_text.done", **where, text=text),
            _event("reasoning_summary_part.done", **where, part={"type": "summary_text", "text": text}),
        ]

    response = answer(_added("reasoning", id="rs_1", summary=[]), *part(0, "a"), *part(1, "b"), _completed())
    assert [entry["text"] for entry in response["output"][0]["summary"]] == ["a", "b"]


def test_provider_items_and_their_progress_pass_in_place(answer: Answer) -> None:
    where = {"item_id": "ws_1", "output_index": 0}
    final = {**_SEARCH, "status": "completed"}
    response = answer(
        _event("output_item.added", output_index=0, item={**_SEARCH, "status": "in_progress"}),
        _event("web_search_call.searching", **where, sequence_number=5),
        _event("output_item.done", output_index=0, item=final),
        {**_MESSAGE, "output_index": 1},
        _text_delta("a", index=1),
        _event("something_new", item_id="msg_1", output_index=1, payload={"deep": [1]}),
        _completed(),
    )
    assert response["output"][0] == final
    types = _types(response)
    assert types[2:5] == ["output_item.added", "web_search_call.searching", "output_item.done"]
    unknown = next(event for event in response["events"] if event["type"] == "response.something_new")
    assert unknown["payload"] == {"deep": [1]}


def test_names_in_passed_events_are_corrected(answer: Answer) -> None:
    search = {name: value for name, value in _SEARCH.items() if name != "id"}
    response = answer(
        _event("output_item.added", output_index=7, item={**search, "status": "in_progress"}),
        _event("web_search_call.searching", item_id="ws_1", output_index=7),
        _event("output_item.done", output_index=7, item={**search, "status": "completed"}),
        _completed(),
    )
    progress = response["events"][3]
    assert (progress["item_id"], progress["output_index"]) == (response["output"][0]["id"], 0)


def test_progress_that_comes_before_its_item_waits_for_it(answer: Answer) -> None:
    response = answer(
        _event("web_search_call.searching", item_id="ws_1", output_index=0),
        _event("output_item.done", output_index=0, item={**_SEARCH, "status": "completed"}),
        _completed(),
    )
    assert _types(response)[2:5] == ["output_item.added", "web_search_call.searching", "output_item.done"]


def test_arguments_that_come_before_their_call_wait_for_its_name(answer: Answer) -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    response = answer(
        _event("function_call_arguments.delta", item_id="fc_1", output_index=0, delta="{}"),
        _event("output_item.done", output_index=0, item=call),
        _completed(),
    )
    assert response["output"][0]["call_id"] == "c"
    assert _types(response).count("function_call_arguments.delta") == 1


def test_a_call_that_only_its_arguments_name_is_opened_at_the_end(answer: Answer) -> None:
    done = _event("function_call_arguments.done", item_id="fc_1", output_index=0, name="f", arguments="{}")
    [item] = answer(done, _completed())["output"]
    assert (item["name"], item["arguments"]) == ("f", "{}")


def test_a_call_that_nothing_names_is_a_failure(answer: Answer) -> None:
    response = answer(_event("function_call_arguments.delta", item_id="fc_1", output_index=0, delta="{}"), _completed())
    assert response["error"]["type"] == ErrorCode.UPSTREAM_PROTOCOL


def test_call_ids_that_repeat_over_rounds_stay_apart(assemble: Assemble, checked: Checked) -> None:
    call = {"type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{}"}
    assembly = assemble()
    events: list[Event] = []
    for _ in range(2):
        stream = ResponsesStream(assembly)
        events += stream.feed(_sse(_completed(call, usage=_USAGE)))
        assert stream.ending is not None
        call_id = assembly.output[-1]["call_id"]
        assembly.append_item({"type": "function_call_output", "call_id": call_id, "output": "42"})
        events += assembly.take()
    response = checked(events + assembly.fail(_ERROR))[-1]["response"]
    first, first_output, second, second_output = response["output"]
    assert first["call_id"] == first_output["call_id"] != second["call_id"] == second_output["call_id"]
    assert [item["type"] for item in response["output"]] == ["function_call", "function_call_output"] * 2
    assert response["usage"]["total_tokens"] == 14


def test_annotations_are_told_once_wherever_they_come(answer: Answer) -> None:
    first, second = (
        {"type": "url_citation", "url": url, "title": "t", "start_index": 0, "end_index": 1} for url in ("a", "b")
    )
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "x", "annotations": [first, second]}
    response = answer(
        _MESSAGE,
        _text_delta("x"),
        _event("output_text.annotation.added", **where, annotation_index=5, annotation=first),
        _event("output_text.done", **where, text="x"),
        _event("content_part.done", **where, part=part),
        _event("output_item.done", output_index=0, item={"type": "message", "id": "msg_1", "content": [part]}),
        _completed(),
    )
    assert response["output"][0]["content"][0]["annotations"] == [first, second]
    added = [e["annotation_index"] for e in response["events"] if e["type"].endswith("annotation.added")]
    assert added == [0, 1]


def test_a_part_of_unknown_kind_stays_in_its_message(assemble: Assemble) -> None:
    part = {"type": "output_hologram", "data": "x"}
    assembly = assemble()
    stream = ResponsesStream(assembly)
    item = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "a"}, part],
    }
    stream.feed(_sse(_MESSAGE, _text_delta("a"), _event("output_item.done", output_index=0, item=item), _completed()))
    content: Any = assembly.output[0]["content"]
    assert content[1] == part


def test_the_phase_of_a_message_is_kept(answer: Answer) -> None:
    item: Json = {"type": "message", "id": "msg_1", "content": [], "phase": "commentary"}
    response = answer(_MESSAGE, _text_delta("a"), _event("output_item.done", output_index=0, item=item), _completed())
    assert response["output"][0]["phase"] == "commentary"


@pytest.mark.parametrize(
    ("reason", "details"),
    [
        ("max_output_tokens", {"reason": "max_output_tokens"}),
        ("content_filter", {"reason": "content_filter"}),
        ("odd", None),
    ],
)
def test_an_incomplete_response_ends_with_an_incomplete_item(answer: Answer, reason: str, details: object) -> None:
    ended = {"status": "incomplete", "incomplete_details": {"reason": reason}, "usage": _USAGE}
    item: Json = {"type": "message", "id": "msg_1", "status": "incomplete", "content": []}
    done = _event("output_item.done", output_index=0, item=item)
    response = answer(_MESSAGE, _text_delta("a"), done, _event("incomplete", response=ended))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", details)
    assert response["output"][-1]["status"] == "incomplete"
    assert response["usage"]["total_tokens"] == 7


def test_an_item_called_incomplete_in_a_response_that_went_on_is_closed_as_complete(answer: Answer) -> None:
    item: Json = {"type": "message", "id": "msg_1", "status": "incomplete", "content": []}
    done = _event("output_item.done", output_index=0, item=item)
    later = _added("message", 1, id="msg_2", role="assistant", content=[])
    response = answer(_MESSAGE, _text_delta("a"), done, later, _text_delta("b", item_id="msg_2", index=1), _completed())
    assert [entry["status"] for entry in response["output"]] == ["completed", "completed"]


_NESTED = {"type": "error", "error": {"type": "server_error", "code": "server_error", "message": "Broken"}}
_FLAT = {"type": "error", "code": "server_error", "message": "Broken", "param": None}
_FAILED = _event("failed", response={"status": "failed", "error": {"code": "server_error", "message": "Broken"}})


@pytest.mark.parametrize("error", [_NESTED, _FLAT, _FAILED])
def test_an_error_after_content_keeps_the_content(answer: Answer, error: Json) -> None:
    response = answer(_MESSAGE, _text_delta("a"), error)
    assert response["status"] == "failed"
    assert response["error"]["message"].endswith("Broken")
    assert _text(response) == "a"
    assert "error" not in _types(response)


@pytest.mark.parametrize("error", [_NESTED, _FLAT, _FAILED])
def test_an_error_right_after_created_leaves_no_trace(assemble: Assemble, error: Json) -> None:
    assembly = assemble()
    stream = ResponsesStream(assembly)
    assert stream.feed(_sse(_CREATED, _event("in_progress", response={}), _MESSAGE, error)) == []
    assert stream.failure is not None
    assert stream.failure.retry_elsewhere
    assert (stream.committed, assembly.started) == (False, False)


def test_what_comes_before_the_first_useful_event_is_held_and_then_told(assemble: Assemble) -> None:
    stream = ResponsesStream(assemble())
    part = _event(
        "content_part.added", item_id="msg_1", output_index=0, content_index=0, part={"type": "output_text", "text": ""}
    )
    useless = [
        _CREATED,
        {"type": "keepalive"},
        _added("reasoning", id="rs_1", summary=[]),
        _MESSAGE,
        part,
        _text_delta(""),
    ]
    assert stream.feed(_sse(*useless)) == []
    types = [event.type for event in stream.feed(_sse(_text_delta("a")))]
    assert types[:2] == ["response.created", "response.in_progress"]
    assert types[-1] == "response.output_text.delta"
    assert (stream.committed, stream.useful_count) == (True, 1)


@pytest.mark.parametrize(
    "useful",
    [
        _event("output_item.added", output_index=0, item={**_SEARCH, "status": "in_progress"}),
        _added("function_call", id="fc_1", call_id="c", name="f", arguments=""),
        _event("output_item.done", output_index=0, item={"type": "reasoning", "id": "r", "encrypted_content": "x"}),
        _event("refusal.delta", item_id="m", output_index=0, content_index=0, delta="no"),
        _event("web_search_call.searching", item_id="ws_1", output_index=0),
    ],
)
def test_a_tool_at_work_or_a_finished_thought_is_useful(assemble: Assemble, useful: Json) -> None:
    stream = ResponsesStream(assemble())
    stream.feed(_sse(useful))
    assert (stream.committed, stream.useful_count) == (True, 1)


def test_an_end_without_a_terminal_event_is_a_cut(answer: Answer) -> None:
    response = answer(_MESSAGE, _text_delta("Half"))
    assert response["error"]["type"] == ErrorCode.UPSTREAM_CUT
    assert response["output"][0]["status"] == "incomplete"


def test_done_without_a_terminal_event_is_a_cut_too(assemble: Assemble) -> None:
    stream = ResponsesStream(assemble())
    stream.feed(_sse(_MESSAGE, _text_delta("a")) + b"data: [DONE]\n\n")
    stream.close()
    assert stream.failure is not None
    assert stream.failure.code is ErrorCode.UPSTREAM_CUT


@pytest.mark.parametrize("event_type", ["tokenbus:response.rewound", 'x","sequence_number":0,"y":"', "a\nb"])
def test_an_upstream_can_neither_speak_in_our_name_nor_break_the_line(assemble: Assemble, event_type: str) -> None:
    assembly = assemble()
    stream = ResponsesStream(assembly)
    stream.feed(_sse(_MESSAGE, _text_delta("a")))
    assert stream.feed(b"data: %b\n\n" % orjson.dumps({"type": event_type, "delta": "x"})) == []


def test_endless_useless_events_are_a_failure_not_a_memory_leak(assemble: Assemble) -> None:
    stream = ResponsesStream(assemble())
    stream.feed(_sse(*[_event("content_part.added", item_id="m", part={"type": "output_text"})] * 1_001))
    assert stream.failure is not None
    assert stream.failure.code is ErrorCode.UPSTREAM_PROTOCOL


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, ErrorCode.UPSTREAM_RATE_LIMIT),
        ({"status": "failed", "error": {"message": "x", "code": "server_error"}}, ErrorCode.UPSTREAM_ERROR),
        ({"status": "cancelled", "error": None, "output": []}, ErrorCode.UPSTREAM_ERROR),
        ({"status": "in_progress", "output": []}, ErrorCode.UPSTREAM_ERROR),
    ],
)
def test_a_plain_body_that_is_no_answer_is_a_failure(assemble: Assemble, body: Json, code: ErrorCode) -> None:
    stream = ResponsesStream(assemble())
    assert stream.whole(orjson.dumps(body)) == []
    assert stream.failure is not None
    assert stream.failure.code is code
