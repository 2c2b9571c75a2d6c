"""Events to chunks: any answer, any place where events are lost, gives what the whole completion says."""

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tokenbus_schemas import ErrorBody, ErrorCode, Event, EventLine, encode
from tokenbus_translate.assembly import Ending, ResponseAssembly
from tokenbus_translate.events_to_chat import GAP_TYPE, EventsToChat
from tokenbus_translate.items import CHOICE
from tokenbus_translate.response_to_chat import ChatHead, chat_completion
from tokenbus_translate.text import OUTPUT_TEXT, REASONING_TEXT, REFUSAL, SUMMARY_TEXT

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]

HEAD = ChatHead("chatcmpl-r1", "openai/gpt-4.1-mini", 1_790_000_000)
USAGE: Json = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 7,
}

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
_item = st.one_of(
    st.tuples(st.just("text"), st.lists(_text, max_size=4)),
    st.tuples(st.just("refusal"), st.lists(_text, min_size=1, max_size=3)),
    st.tuples(st.just("reasoning"), st.lists(_text, min_size=1, max_size=3)),
    st.tuples(st.just("summary"), st.lists(_text, min_size=1, max_size=3)),
    st.tuples(st.just("call"), st.lists(_text, max_size=3)),
    st.tuples(st.just("custom"), st.lists(_text, max_size=3)),
    st.tuples(st.just("search"), st.just([])),
)
_item_with_tools = st.one_of(_item, st.tuples(st.just("run"), st.lists(_text, max_size=3)))
"""Where functions may be run on the bus."""
_ending = st.sampled_from(
    [Ending("completed"), Ending("incomplete", "max_output_tokens"), Ending("incomplete", "content_filter")]
)


def _write(assembly: ResponseAssembly, kind: str, pieces: list[str], *, choice: int | None) -> None:
    label = {} if choice is None else {CHOICE: choice}
    if kind == "search":
        assembly.append_item({"type": "web_search_call", "action": {"type": "search", "query": "q"}})
        return
    if kind in ("call", "custom", "run"):
        item_type = "custom_tool_call" if kind == "custom" else "function_call"
        item = assembly.open_item({"type": item_type, "call_id": None, "name": "look", **label})
        text = item.texts[0]
    elif kind in ("reasoning", "summary"):
        item = assembly.open_item({"type": "reasoning", **label})
        text = item.open_text(REASONING_TEXT if kind == "reasoning" else SUMMARY_TEXT)
    else:
        item = assembly.open_item({"type": "message", **label})
        text = item.open_text(OUTPUT_TEXT if kind == "text" else REFUSAL)
    for piece in pieces:
        text.write(piece)
    item.close("completed")
    if kind == "run":
        call_id = assembly.output[-1]["call_id"]
        assembly.append_item({"type": "function_call_output", "call_id": call_id, "output": "42", **label})


@st.composite
def _answers(draw: st.DrawFn) -> Callable[[ResponseAssembly], list[Event]]:
    """A function that writes one random answer into an assembly and returns its events."""
    choices = draw(st.integers(1, 3))
    label = st.none() if choices == 1 else st.integers(0, choices - 1)
    functions = draw(st.sampled_from([[], ["look"]]))
    items = draw(st.lists(st.tuples(_item_with_tools if functions else _item, label), max_size=6))
    ending = draw(_ending)

    def write(assembly: ResponseAssembly) -> list[Event]:
        assembly.extension["functions"] = functions
        for (kind, pieces), choice in items:
            _write(assembly, kind, pieces, choice=choice)
        assembly.add_usage(USAGE)
        return assembly.take() + assembly.finish(ending, now=1_790_000_009)

    return write


def _lines(events: list[Event]) -> list[EventLine]:
    return [EventLine(encode(event, number)) for number, event in enumerate(events)]


def _chunks(lines: list[EventLine], *, include_usage: bool = True) -> list[Json]:
    translator = EventsToChat(HEAD, include_usage=include_usage)
    chunks: list[Json] = [orjson.loads(chunk) for line in lines for chunk in translator.feed(line)]
    for chunk in chunks:
        if not _is_custom(chunk):
            ChatCompletionChunk.model_validate(chunk, strict=True)
    return chunks


def _is_custom(chunk: Json) -> bool:
    """Custom tools stream, too; the SDK's type of a chunk does not know them (openai 3.54)."""
    return any("custom" in call for entry in chunk["choices"] for call in entry["delta"].get("tool_calls", []))


def _joined(chunks: list[Json]) -> dict[int, Json]:
    """What a client puts together, per choice."""
    choices: dict[int, Json] = {}
    for chunk in chunks:
        for entry in chunk["choices"]:
            choice = choices.setdefault(
                entry["index"],
                {"content": None, "refusal": None, "reasoning_content": None, "tool_calls": [], "finish_reason": None},
            )
            assert choice["finish_reason"] is None, "a chunk after the finish reason"
            delta = entry["delta"]
            for key in ("content", "refusal", "reasoning_content"):
                if delta.get(key) is not None:
                    choice[key] = (choice[key] or "") + delta[key]
            for call in delta.get("tool_calls", []):
                if call["index"] == len(choice["tool_calls"]):
                    choice["tool_calls"].append({key: value for key, value in call.items() if key != "index"})
                else:
                    known = choice["tool_calls"][call["index"]]
                    field, key = ("custom", "input") if "custom" in call else ("function", "arguments")
                    known[field][key] += call[field][key]
            choice["finish_reason"] = entry["finish_reason"]
    return choices


def _said(completion: Json, *, with_reasoning: bool = True) -> dict[int, Json]:
    return {
        choice["index"]: {
            "content": choice["message"]["content"],
            "refusal": choice["message"]["refusal"],
            "reasoning_content": choice["message"].get("reasoning_content") if with_reasoning else None,
            "tool_calls": choice["message"].get("tool_calls", []),
            "finish_reason": choice["finish_reason"],
        }
        for choice in completion["choices"]
    }


def _normal(choices: dict[int, Json], *, with_reasoning: bool = True) -> dict[int, Json]:
    """Without the difference between no content and an empty one."""
    return {
        index: {
            **choice,
            "content": choice["content"] or "",
            "reasoning_content": choice["reasoning_content"] if with_reasoning else None,
        }
        for index, choice in choices.items()
    }


@given(_answers())
def test_the_chunks_say_what_the_completion_says(
    assemble: Assemble, answer: Callable[[ResponseAssembly], list[Event]]
) -> None:
    lines = _lines(answer(assemble()))
    chunks = _chunks(lines)
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    ChatCompletion.model_validate(completion, strict=True)
    assert _normal(_joined(chunks)) == _normal(_said(completion))
    heads = {ChatHead(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}
    assert heads == {HEAD}
    assert chunks[-1]["usage"] == completion["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


@given(_answers(), st.data())
def test_events_that_are_lost_are_told_at_the_end_once(
    assemble: Assemble, answer: Callable[[ResponseAssembly], list[Event]], data: st.DataObject
) -> None:
    lines = _lines(answer(assemble()))
    first = data.draw(st.integers(0, len(lines) - 2))
    last = data.draw(st.integers(first, len(lines) - 2))
    gap = EventLine(encode(Event(GAP_TYPE, b',"first_missing":%d,"last_missing":%d' % (first, last)), last))
    chunks = _chunks([*lines[:first], gap, *lines[last + 1 :]])
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    joined, said = _joined(chunks), _said(completion)
    assert _normal(joined, with_reasoning=False) == _normal(said, with_reasoning=False)


@given(_answers())
def test_the_sdk_accumulates_the_same(assemble: Assemble, answer: Callable[[ResponseAssembly], list[Event]]) -> None:
    lines = _lines(answer(assemble()))
    state = ChatCompletionStreamState()
    chunks = _chunks(lines)
    assume(not any(map(_is_custom, chunks)))
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    snapshot = state.current_completion_snapshot
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    for mine, theirs in zip(completion["choices"], sorted(snapshot.choices, key=lambda c: c.index), strict=True):
        assert (theirs.message.content or "") == (mine["message"]["content"] or "")
        assert theirs.finish_reason == mine["finish_reason"]


def test_an_answer_that_is_begun_anew_has_no_end_in_chat(assemble: Assemble) -> None:
    assembly = assemble()
    _write(assembly, "text", ["Once"], choice=None)
    told = assembly.take()
    assembly.rewind(to=0)
    _write(assembly, "text", ["Twice"], choice=None)
    lines = _lines(told + assembly.take() + assembly.finish(Ending("completed"), now=1))
    translator = EventsToChat(HEAD, include_usage=True)
    chunks = [chunk for line in lines for chunk in translator.feed(line)]

    assert translator.rewound
    assert b"Once" in chunks[-1]
    assert not any(b"Twice" in chunk or b'"stop"' in chunk for chunk in chunks)


def test_tool_calls_are_numbered_by_their_place_among_the_calls(assemble: Assemble) -> None:
    assembly = assemble()
    _write(assembly, "text", ["Let me see."], choice=None)
    _write(assembly, "call", ['{"a":', "1}"], choice=None)
    _write(assembly, "call", ["{}"], choice=None)
    chunks = _chunks(_lines(assembly.take() + assembly.finish(Ending("completed"), now=1)))
    calls = [call for chunk in chunks for entry in chunk["choices"] for call in entry["delta"].get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0, 0, 0, 1, 1]
    assert [("id" in call, call["function"]["arguments"]) for call in calls] == [
        (True, ""),
        (False, '{"a":'),
        (False, "1}"),
        (True, ""),
        (False, "{}"),
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_is_not_told_unless_asked_for(assemble: Assemble) -> None:
    assembly = assemble()
    _write(assembly, "text", ["Hi"], choice=None)
    assembly.add_usage(USAGE)
    lines = _lines(assembly.take() + assembly.finish(Ending("completed"), now=1))
    assert not any("usage" in chunk for chunk in _chunks(lines, include_usage=False))


def test_log_probabilities_stand_beside_their_text(assemble: Assemble) -> None:
    assembly = assemble()
    token: Json = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    item = assembly.open_item({"type": "message"})
    item.open_text(OUTPUT_TEXT).write_with("Hi", logprobs=[token])
    lines = _lines(assembly.take() + assembly.finish(Ending("completed"), now=1))
    chunks = _chunks(lines)
    assert chunks[1]["choices"][0] == {
        "index": 0,
        "delta": {"content": "Hi"},
        "logprobs": {"content": [token], "refusal": None},
        "finish_reason": None,
    }
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []},
            "logprobs": {"content": [token], "refusal": None},
            "finish_reason": "stop",
        }
    ]


def test_an_annotation_is_nested_as_chat_has_it(assemble: Assemble) -> None:
    assembly = assemble()
    citation: Json = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 2}
    text = assembly.open_item({"type": "message"}).open_text(OUTPUT_TEXT)
    text.write("Hi")
    text.annotate(citation)
    lines = _lines(assembly.take() + assembly.finish(Ending("completed"), now=1))
    nested = {"type": "url_citation", "url_citation": {k: v for k, v in citation.items() if k != "type"}}
    assert [c["choices"][0]["delta"] for c in _chunks(lines)[:-1]][-2:] == [{"annotations": [nested]}, {}]
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    assert completion["choices"][0]["message"]["annotations"] == [nested]


def test_a_call_that_was_answered_on_the_bus_is_not_the_clients_to_run(assemble: Assemble) -> None:
    assembly = assemble()
    _write(assembly, "call", ["{}"], choice=None)
    call_id = assembly.output[0]["call_id"]
    assembly.append_item({"type": "function_call_output", "call_id": call_id, "output": "42"})
    _write(assembly, "text", ["It is 42."], choice=None)
    lines = _lines(assembly.take() + assembly.finish(Ending("completed"), now=1))
    completion: Json = chat_completion(lines[-1].data["response"], HEAD)
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert "tool_calls" not in completion["choices"][0]["message"]


def test_a_call_that_the_bus_may_run_is_told_when_it_is_known_to_be_the_clients(assemble: Assemble) -> None:
    assembly = assemble()
    assembly.extension["functions"] = ["look"]
    _write(assembly, "run", ["{}"], choice=None)
    _write(assembly, "text", ["One more:"], choice=None)
    _write(assembly, "call", ['{"a":', "1}"], choice=None)
    chunks = _chunks(_lines(assembly.take() + assembly.finish(Ending("completed"), now=1)))
    deltas = [entry["delta"] for chunk in chunks for entry in chunk["choices"]]
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["One more:"]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [(call["index"], call["function"]["arguments"]) for call in calls] == [(0, ""), (0, '{"a":1}')]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_failed_or_cancelled_answer_ends_without_a_finish_reason(assemble: Assemble) -> None:
    failed, cancelled = assemble(), assemble()
    for assembly in (failed, cancelled):
        _write(assembly, "text", ["Hi"], choice=None)
    ends = (
        failed.take() + failed.fail(ErrorBody(ErrorCode.UPSTREAM_CUT, "cut")),
        cancelled.take() + cancelled.cancel(),
    )
    for events in ends:
        reasons = [entry["finish_reason"] for chunk in _chunks(_lines(events)) for entry in chunk["choices"]]
        assert reasons == [None, None]
