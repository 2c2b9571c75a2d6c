"""Chat Completions upstreams, trap by trap."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tokenbus_schemas import ErrorCode, Event
from tokenbus_translate import ChatStream, ResponseAssembly, UpstreamFailure, failure

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]

_DONE = b"data: [DONE]\n\n"
_USAGE: Json = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def _chunk(delta: Json | None = None, *, finish: str | None = None, index: int = 0, **rest: Any) -> bytes:
    choice: Json = {"index": index, "delta": delta or {}, "finish_reason": finish, **rest.pop("choice", {})}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **rest}
    return b"data: %b\n\n" % orjson.dumps(chunk)


def _call(index: int | None = 0, arguments: str | None = None, **rest: Any) -> Json:
    name = rest.pop("name", None)
    function: Json = {} if arguments is None else {"arguments": arguments}
    fragment: Json = {"function": function | ({"name": name} if name else {}), **rest}
    return {"tool_calls": [fragment if index is None else {"index": index, **fragment}]}


@pytest.fixture
def answer(assemble: Assemble, checked: Checked) -> Callable[..., Json]:
    """The response that a body makes, checked in every way; `events` holds the parsed events."""

    def run(*chunks: bytes, choices: int = 1) -> Json:
        assembly = assemble(api="chat_completions")
        stream = ChatStream(assembly, choices=choices)
        events = stream.feed(b"".join(chunks)) + stream.close()
        if stream.ending is None:
            assert stream.failure is not None
            events += assembly.fail(stream.failure.error)
        else:
            events += assembly.finish(stream.ending, now=1_790_000_009)
        parsed = checked(events)
        response: Json = parsed[-1]["response"]
        return {**response, "events": parsed}

    return run


Answer = Callable[..., Json]


def _text(response: Json) -> str:
    return "".join(
        part.get("text", "") for item in response["output"] if item["type"] == "message" for part in item["content"]
    )


def _calls(response: Json) -> list[tuple[str, str, str]]:
    items = [item for item in response["output"] if item["type"] == "function_call"]
    return [(item["call_id"], item["name"], item["arguments"]) for item in items]


def test_text_arrives_in_one_message_with_usage_and_tier(answer: Answer) -> None:
    response = answer(
        _chunk({"role": "assistant", "content": ""}, service_tier="flex", system_fingerprint="fp_1"),
        _chunk({"content": "Hel"}),
        _chunk({"content": "lo"}),
        _chunk(finish="stop"),
        b'data: {"choices": [], "usage": %b}\n\n' % orjson.dumps(_USAGE),
        _DONE,
    )
    assert _text(response) == "Hello"
    assert response["status"] == "completed"
    assert response["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }
    assert response["service_tier"] == "flex"
    assert response["tokenbus"]["system_fingerprint"] == "fp_1"


def test_usage_that_was_not_sent_is_not_invented(answer: Answer) -> None:
    assert answer(_chunk({"content": "a"}), _chunk(finish="stop"), _DONE)["usage"] is None


def test_a_tier_that_openai_does_not_know_stays_out_of_the_typed_field(answer: Answer) -> None:
    response = answer(_chunk({"content": "a"}, service_tier="on_demand"), _chunk(finish="stop"), _DONE)
    assert response["service_tier"] == "default"
    assert response["tokenbus"]["service_tier"] == "on_demand"


def test_fragments_without_id_and_name_belong_to_the_call_of_their_index(answer: Answer) -> None:
    response = answer(
        _chunk(_call(0, "", id="call_a", name="f")),
        _chunk(_call(1, "", id="call_b", name="g")),
        _chunk(_call(0, '{"x"')),
        _chunk(_call(1, '{"y"')),
        _chunk(_call(0, ":1}")),
        _chunk(_call(1, ":2}")),
        _chunk(finish="tool_calls"),
        _DONE,
    )
    assert _calls(response) == [("call_a", "f", '{"x":1}'), ("call_b", "g", '{"y":2}')]


def test_missing_call_ids_are_minted_and_differ(answer: Answer) -> None:
    response = answer(_chunk(_call(0, "{}", name="f")), _chunk(_call(1, "{}", name="f")), _chunk(finish="stop"), _DONE)
    ids = [call_id for call_id, _, _ in _calls(response)]
    assert len(set(ids)) == 2
    assert all(call_id.startswith("call_") for call_id in ids)


def test_an_id_and_a_name_on_every_fragment_change_nothing(answer: Answer) -> None:
    pieces = [_chunk(_call(0, piece, id="call_a", name="f")) for piece in ('{"a":', "1", "}")]
    assert _calls(answer(*pieces, _chunk(finish="tool_calls"), _DONE)) == [("call_a", "f", '{"a":1}')]


def test_arguments_wait_for_a_name_that_comes_late(answer: Answer) -> None:
    chunks = (_chunk(_call(0, '{"a"', id="call_a")), _chunk(_call(0, name="f")), _chunk(_call(0, ":1}")))
    assert _calls(answer(*chunks, _chunk(finish="tool_calls"), _DONE)) == [("call_a", "f", '{"a":1}')]


@pytest.mark.parametrize("index", [0, None])
def test_whole_calls_in_one_chunk_are_told_apart_without_indexes(answer: Answer, index: int | None) -> None:
    calls = [_call(index, f'{{"n":{n}}}', id=f"call_{n}", name="f")["tool_calls"][0] for n in range(3)]
    response = answer(_chunk({"tool_calls": calls}, finish="tool_calls"), _DONE)
    assert _calls(response) == [(f"call_{n}", "f", f'{{"n":{n}}}') for n in range(3)]


def test_whole_calls_with_neither_index_nor_id_are_told_apart_by_their_names(answer: Answer) -> None:
    calls = [_call(0, f'{{"n":{n}}}', id="", name="f")["tool_calls"][0] for n in range(2)]
    response = answer(_chunk({"tool_calls": calls}, finish="stop"), _DONE)
    assert [arguments for _, _, arguments in _calls(response)] == ['{"n":0}', '{"n":1}']


def test_arguments_sent_as_an_object_become_json(answer: Answer) -> None:
    chunk = _chunk({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]})
    assert _calls(answer(chunk, _chunk(finish="tool_calls"), _DONE)) == [("c", "f", '{"a":1}')]


def test_a_whole_call_without_arguments_has_an_empty_object(answer: Answer) -> None:
    response = answer(_chunk(_call(0, "", id="c", name="f")), _chunk(finish="tool_calls"), _DONE)
    assert _calls(response) == [("c", "f", "{}")]


def test_a_call_that_never_gets_a_name_is_a_failure(answer: Answer) -> None:
    response = answer(_chunk(_call(0, "{}", id="c")), _chunk(finish="tool_calls"), _DONE)
    assert response["status"] == "failed"
    assert response["error"]["type"] == ErrorCode.UPSTREAM_PROTOCOL


def test_geminis_signature_stays_with_its_call(answer: Answer) -> None:
    signature = {"google": {"thought_signature": "s"}}
    response = answer(_chunk(_call(0, "{}", id="c", name="f", extra_content=signature)), _chunk(finish="stop"), _DONE)
    assert response["output"][0]["extra_content"] == signature


def test_a_custom_call_keeps_its_input(answer: Answer) -> None:
    fragment = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "py", "input": "1+1"}}
    [item] = answer(_chunk({"tool_calls": [fragment]}), _chunk(finish="tool_calls"), _DONE)["output"]
    assert (item["type"], item["call_id"], item["input"]) == ("custom_tool_call", "c", "1+1")


def test_the_deprecated_function_call_is_a_call(answer: Answer) -> None:
    chunks = (_chunk({"function_call": {"name": "f", "arguments": "{"}}), _chunk({"function_call": {"arguments": "}"}}))
    [(_, name, arguments)] = _calls(answer(*chunks, _chunk(finish="function_call"), _DONE))
    assert (name, arguments) == ("f", "{}")


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_an_item_of_its_own_before_the_message(answer: Answer, key: str) -> None:
    response = answer(_chunk({key: "hm"}), _chunk({"content": "a"}), _chunk({key: "and"}), _chunk(finish="stop"), _DONE)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "reasoning"]
    assert response["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    types = [event["type"] for event in response["events"]]
    assert types.index("response.reasoning_text.done") < types.index("response.output_text.delta")


def test_reasoning_sent_under_both_names_is_told_once(answer: Answer) -> None:
    response = answer(_chunk({"reasoning_content": "hm", "reasoning": "hm"}), _chunk(finish="stop"), _DONE)
    assert response["output"][0]["content"][0]["text"] == "hm"


def test_a_refusal_is_a_part_of_the_message(answer: Answer) -> None:
    response = answer(_chunk({"refusal": "I "}), _chunk({"refusal": "can't"}), _chunk(finish="stop"), _DONE)
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I can't"}]


def test_content_as_parts_and_thinking_parts(answer: Answer) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    response = answer(_chunk({"content": [thinking, {"type": "text", "text": "a"}]}), _chunk(finish="stop"), _DONE)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert _text(response) == "a"


def test_log_probabilities_ride_on_their_deltas_and_are_kept(answer: Answer) -> None:
    entry: Json = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "é", "logprob": -0.5}]}
    filled = {**entry, "bytes": [195, 169], "top_logprobs": [{"token": "é", "logprob": -0.5, "bytes": [195, 169]}]}
    response = answer(_chunk({"content": "é"}, choice={"logprobs": {"content": [entry]}}), _chunk(finish="stop"), _DONE)
    delta = next(event for event in response["events"] if event["type"] == "response.output_text.delta")
    assert delta["logprobs"] == [filled]
    assert response["output"][0]["content"][0]["logprobs"] == [filled]


def test_a_token_that_is_half_a_character_keeps_its_log_probability(answer: Answer) -> None:
    half = {"content": [{"token": "\\xf0", "logprob": -1, "bytes": [240], "top_logprobs": []}]}
    response = answer(
        _chunk({"content": ""}, choice={"logprobs": half}), _chunk({"content": "🙂"}, finish="stop"), _DONE
    )
    assert [entry["bytes"] for entry in response["output"][0]["content"][0]["logprobs"]] == [[240]]


def test_choices_are_items_that_say_which_choice_they_are(answer: Answer) -> None:
    response = answer(
        _chunk({"content": "a"}),
        _chunk({"content": "b"}, index=1),
        _chunk({"content": "A"}),
        _chunk(finish="length"),
        _chunk(finish="stop", index=1),
        _DONE,
        choices=2,
    )
    told = [(item["tokenbus:choice"], item["content"][0]["text"], item["status"]) for item in response["output"]]
    assert told == [(0, "aA", "incomplete"), (1, "b", "completed")]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_one_choice_needs_no_label(answer: Answer) -> None:
    response = answer(_chunk({"content": "a"}), _chunk(finish="stop"), _DONE)
    assert "tokenbus:choice" not in response["output"][0]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("unheard_of", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("model_length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_a_finish_reason_becomes_a_status(answer: Answer, reason: str, status: str, details: object) -> None:
    response = answer(_chunk({"content": "a"}), _chunk(finish=reason), _chunk(usage=_USAGE), _DONE)
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][-1]["status"] == status
    assert response["usage"]["total_tokens"] == 7


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_a_finish_reason_that_means_a_break_is_a_failure(answer: Answer, reason: str) -> None:
    response = answer(_chunk({"content": "a"}), _chunk(finish=reason), _DONE)
    assert response["status"] == "failed"
    assert _text(response) == "a"


def test_a_cut_call_is_incomplete_and_the_whole_one_before_it_is_not(answer: Answer) -> None:
    response = answer(
        _chunk(_call(0, "{}", id="a", name="f")),
        _chunk(_call(1, '{"x', id="b", name="f")),
        _chunk(finish="length"),
        _DONE,
    )
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_a_call_cut_before_a_later_one_is_never_called_complete(answer: Answer) -> None:
    response = answer(_chunk(_call(0, '{"x', id="a", name="f")), _chunk(_call(1, "{}", id="b", name="f")))
    assert response["status"] == "failed"
    assert [item["status"] for item in response["output"]] == ["incomplete", "incomplete"]


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_an_empty_answer_is_one_empty_message(answer: Answer, finish: str) -> None:
    response = answer(_chunk({"role": "assistant", "content": ""}), _chunk(finish=finish), _DONE)
    [item] = response["output"]
    assert item["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    assert item["status"] == response["status"]


def test_citations_become_annotations(answer: Answer) -> None:
    citation = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 1}
    annotation = {"type": "url_citation", "url_citation": citation}
    response = answer(_chunk({"content": "a"}), _chunk({"annotations": [annotation]}), _chunk(finish="stop"), _DONE)
    assert response["output"][0]["content"][0]["annotations"] == [{"type": "url_citation", **citation}]
    assert "response.output_text.annotation.added" in [event["type"] for event in response["events"]]


def test_usage_is_awaited_after_the_finish_reason(assemble: Assemble) -> None:
    stream = ChatStream(assemble())
    stream.feed(_chunk({"content": "a"}) + _chunk(finish="stop"))
    assert not stream.finished
    stream.feed(b'data: {"choices": [], "usage": %b}\n\n' % orjson.dumps(_USAGE))
    assert stream.finished


def test_usage_before_the_finish_reason_and_in_every_chunk_counts_once(answer: Answer) -> None:
    growing = [_chunk({"content": "a"}, usage={**_USAGE, "completion_tokens": n}) for n in range(4)]
    response = answer(*growing, _chunk(finish="stop", usage=_USAGE), _DONE)
    assert response["usage"]["output_tokens"] == 4


@pytest.mark.parametrize(
    ("chunk", "tokens"),
    [
        ({"choices": [], "x_groq": {"usage": _USAGE}}, 3),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": _USAGE}]}, 3),
        ({"choices": [], "usage": {**_USAGE, "prompt_cache_hit_tokens": 2}}, 3),
    ],
)
def test_usage_is_found_where_providers_put_it(answer: Answer, chunk: Json, tokens: int) -> None:
    response = answer(_chunk({"content": "a"}, finish="stop"), b"data: %b\n\n" % orjson.dumps(chunk), _DONE)
    assert response["usage"]["input_tokens"] == tokens


def test_a_body_that_ends_without_a_finish_reason_is_a_cut(answer: Answer) -> None:
    response = answer(_chunk({"content": "Half an ans"}))
    assert response["status"] == "failed"
    assert response["error"]["type"] == ErrorCode.UPSTREAM_CUT
    assert response["output"][0]["status"] == "incomplete"
    assert _text(response) == "Half an ans"


def test_done_alone_ends_an_answer_and_an_end_alone_after_a_finish_reason_too(answer: Answer) -> None:
    assert answer(_chunk({"content": "a"}), _DONE)["status"] == "completed"
    assert answer(_chunk({"content": "a"}), _chunk(finish="stop"))["status"] == "completed"


def test_done_alone_is_no_answer(answer: Answer) -> None:
    assert answer(_DONE)["error"]["type"] == ErrorCode.UPSTREAM_CUT


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "Overloaded", "type": "server_error", "code": None}},
        {"error": "Overloaded"},
        {"object": "error", "message": "Overloaded", "code": 500},
        {"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "Overloaded"}}]},
    ],
)
def test_an_error_chunk_after_content_keeps_the_content(answer: Answer, error: Json) -> None:
    response = answer(_chunk({"content": "a"}), b"data: %b\n\n" % orjson.dumps(error), _DONE)
    assert response["status"] == "failed"
    assert "Overloaded" in response["error"]["message"]
    assert _text(response) == "a"


def test_usage_that_came_before_a_failure_is_kept(answer: Answer) -> None:
    response = answer(_chunk({"content": "a"}, usage=_USAGE))
    assert response["status"] == "failed"
    assert response["usage"]["total_tokens"] == 7


def test_a_plain_body_gives_the_same_output_as_a_stream(assemble: Assemble, checked: Checked, answer: Answer) -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": _USAGE}
    assembly = assemble()
    stream = ChatStream(assembly)
    events = stream.whole(orjson.dumps(body))
    assert stream.ending is not None
    response = checked(events + assembly.finish(stream.ending, now=1))[-1]["response"]
    streamed = answer(_chunk(message), _chunk(finish="tool_calls"), _chunk(usage=_USAGE), _DONE)
    assert response["output"] == streamed["output"]
    assert response["usage"] == streamed["usage"]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"{}", b'{"choices": []}'])
def test_a_plain_body_that_is_no_answer_is_a_failure(assemble: Assemble, body: bytes) -> None:
    assembly = assemble()
    stream = ChatStream(assembly)
    assert stream.whole(body) == []
    assert stream.failure is not None
    assert stream.failure.code in {ErrorCode.UPSTREAM_PROTOCOL, ErrorCode.UPSTREAM_CUT}
    assert not assembly.started


@pytest.mark.parametrize(
    "useless",
    [
        b": keep-alive\n\n",
        _chunk({"role": "assistant"}),
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": None, "tool_calls": []}),
        b'data: {"choices": [], "prompt_filter_results": []}\n\n',
    ],
)
def test_nothing_leaves_before_the_first_useful_chunk(assemble: Assemble, useless: bytes) -> None:
    assembly = assemble()
    stream = ChatStream(assembly)
    assert stream.feed(useless * 3) == []
    assert (stream.committed, stream.useful_count, assembly.started) == (False, 0, False)
    assert stream.feed(_chunk({"content": "a"}))
    assert (stream.committed, stream.useful_count) == (True, 1)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b'data: {"error": {"message": "x", "code": "insufficient_quota"}}\n\n', ErrorCode.UPSTREAM_RATE_LIMIT),
        (b"data: {not json\n\n", ErrorCode.UPSTREAM_PROTOCOL),
        (b"", ErrorCode.UPSTREAM_CUT),
    ],
)
def test_before_the_commit_a_failure_leaves_no_trace(assemble: Assemble, broken: bytes, code: ErrorCode) -> None:
    assembly = assemble()
    stream = ChatStream(assembly)
    first = _chunk({"role": "assistant"}, usage=_USAGE, service_tier="flex")
    assert stream.feed(first + broken) + stream.close() == []
    assert stream.failure is not None
    assert stream.failure.code is code
    assert stream.failure.retry_elsewhere
    assert (stream.committed, assembly.started, assembly.usage, assembly.facts) == (False, False, None, {})


def test_a_lost_connection_after_the_end_of_the_answer_does_no_harm(assemble: Assemble) -> None:
    lost = failure(ErrorCode.EVENT_GAP_TIMEOUT, "nothing for 30 s")
    whole, half = ChatStream(assemble()), ChatStream(assemble())
    whole.feed(_chunk({"content": "a"}) + _chunk(finish="stop"))
    half.feed(_chunk({"content": "a"}))
    whole.close(lost)
    half.close(lost)
    assert whole.failure is None
    assert whole.ending is not None
    assert half.failure == UpstreamFailure(ErrorCode.EVENT_GAP_TIMEOUT, "nothing for 30 s", retry_elsewhere=True)


def test_a_cancel_keeps_the_usage_that_was_reported(assemble: Assemble, checked: Checked) -> None:
    assembly = assemble()
    stream = ChatStream(assembly)
    events = stream.feed(_chunk({"content": "a"}, usage=_USAGE))
    stream.abandon()
    stream.close()
    response = checked(events + assembly.cancel())[-1]["response"]
    assert (response["status"], response["usage"]["total_tokens"]) == ("cancelled", 7)


def test_an_event_beyond_the_limit_is_a_failure_not_a_memory_leak(assemble: Assemble) -> None:
    stream = ChatStream(assemble(), max_event_bytes=100)
    stream.feed(b"data: " + b"x" * 200)
    assert stream.close() == []
    assert stream.failure is not None
    assert stream.failure.code is ErrorCode.UPSTREAM_PROTOCOL


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ude00b", "\ufffdb"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\ud83d \ud83d\ude00", "\ufffd \U0001f600"),
        (rb"\ud83d\\ud83d", "\ufffd\\ud83d"),
    ],
)
def test_half_a_character_costs_that_character_only(answer: Answer, escaped: bytes, text: str) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % escaped
    assert _text(answer(chunk, _chunk(finish="stop"), _DONE)) == text
