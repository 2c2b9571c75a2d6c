"""Random chat streams: whatever order the chunks have, the events are valid and say what the chunks said."""

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import ErrorBody, ErrorCode, Event
from tokenbus_translate import ChatStream, ResponseAssembly

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_plain: list[Json] = [{}, {"role": "assistant"}, {"content": None}, {"tool_calls": []}, {"content": ""}]
_pieces: list[st.SearchStrategy[Json]] = [
    _text.map(lambda text: {"content": text}),
    _text.map(lambda text: {"content": text, "role": "assistant", "refusal": None, "tool_calls": None}),
    _text.map(lambda text: {"content": [{"type": "text", "text": text}]}),
    _text.map(lambda text: {"reasoning_content": text, "content": None}),
    _text.map(lambda text: {"reasoning": text}),
    _text.map(lambda text: {"refusal": text}),
    st.tuples(st.integers(0, 2), _text).map(
        lambda call: {"tool_calls": [{"index": call[0], "function": {"arguments": call[1]}}]}
    ),
    st.sampled_from(_plain),
]
_piece = st.one_of(_pieces)
_finish = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "strange"])


def _fragments(entry: Json) -> list[Json]:
    return entry["delta"].get("tool_calls") or []


@st.composite
def _conversations(draw: st.DrawFn, max_choices: int = 3) -> tuple[list[Json], int]:
    """Chunks of a whole answer, and the number of choices. The first fragment of each call names it, or a later one."""
    choices = draw(st.integers(1, max_choices))
    seen: dict[tuple[int, int], int] = defaultdict(int)
    unnamed: set[tuple[int, int]] = set()
    chunks: list[Json] = []
    for choice, piece in draw(st.lists(st.tuples(st.integers(0, choices - 1), _piece), max_size=25)):
        entry: Json = {"index": choice, "delta": orjson.loads(orjson.dumps(piece)), "finish_reason": None}
        for fragment in _fragments(entry):
            key = choice, fragment["index"]
            seen[key] += 1
            if seen[key] == 1:
                unnamed.add(key)
                fragment["id"] = draw(st.sampled_from([f"call_{choice}_{fragment['index']}", None, ""]))
            if key in unnamed and draw(st.booleans()):
                fragment["function"]["name"] = f"tool{fragment['index']}"
                unnamed.remove(key)
        chunks.append({"id": "chatcmpl-x", "choices": [entry]})
    for choice, index in sorted(unnamed):
        late = {"tool_calls": [{"index": index, "function": {"name": f"tool{index}"}}]}
        chunks.append({"choices": [{"index": choice, "delta": late}]})
    order = draw(st.permutations(range(choices)))
    chunks += [{"choices": [{"index": i, "delta": {}, "finish_reason": draw(_finish)}]} for i in order]
    if draw(st.booleans()):
        chunks.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    return chunks, choices


def _sse(chunks: list[Json], *, done: bool = True) -> bytes:
    return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks) + b"data: [DONE]\n\n" * done


def _run(assembly: ResponseAssembly, body: bytes, *, choices: int, cuts: list[int] | None = None) -> list[Event]:
    stream = ChatStream(assembly, choices=choices)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    events = [event for a, b in pairwise(places) for event in stream.feed(body[a:b])]
    events += stream.close()
    if stream.ending is not None:
        return events + assembly.finish(stream.ending, now=1_790_000_009)
    assert stream.failure is not None
    return events + assembly.fail(stream.failure.error)


def _joined(chunks: list[Json], choice: int, *keys: str) -> str:
    joined = ""
    for chunk in chunks:
        for entry in chunk["choices"]:
            if entry["index"] == choice:
                for key in keys:
                    value: Any = entry["delta"].get(key) or ""
                    joined += value if isinstance(value, str) else "".join(part["text"] for part in value)
    return joined


@given(conversation=_conversations())
def test_any_order_of_chunks_gives_valid_events_with_all_that_was_said(
    conversation: tuple[list[Json], int], assemble: Assemble, checked: Checked
) -> None:
    chunks, choices = conversation
    events = checked(_run(assemble(), _sse(chunks), choices=choices))
    output = events[-1]["response"]["output"]
    for choice in range(choices):
        items = [item for item in output if item.get("tokenbus:choice", 0) == choice]
        parts = [part for item in items if item["type"] == "message" for part in item["content"]]
        reasoning = [part["text"] for item in items if item["type"] == "reasoning" for part in item["content"]]
        assert "".join(part.get("text", "") for part in parts) == _joined(chunks, choice, "content")
        assert "".join(part.get("refusal", "") for part in parts) == _joined(chunks, choice, "refusal")
        assert "".join(reasoning) == _joined(chunks, choice, "reasoning_content", "reasoning")
        told: dict[int, str] = defaultdict(str)
        for chunk in chunks:
            for entry in chunk["choices"]:
                for fragment in _fragments(entry) if entry["index"] == choice else []:
                    told[fragment["index"]] += fragment["function"].get("arguments", "")
        calls = {item["name"]: item["arguments"] for item in items if item["type"] == "function_call"}
        assert {f"tool{index}": text for index, text in told.items() if text} == {
            name: text for name, text in calls.items() if text not in {"", "{}"} or told[int(name[4:])] == "{}"
        }


@given(conversation=_conversations(), cuts=st.lists(st.integers(0, 2**16), max_size=30))
def test_any_chunking_of_the_bytes_gives_the_same_events(
    conversation: tuple[list[Json], int], cuts: list[int], assemble: Assemble
) -> None:
    chunks, choices = conversation
    body = _sse(chunks)
    assert _run(assemble(), body, choices=choices, cuts=cuts) == _run(assemble(), body, choices=choices)


@given(conversation=_conversations(), cut=st.integers(0, 2**16))
def test_a_cut_anywhere_is_a_failure_or_a_whole_answer_and_keeps_what_came(
    conversation: tuple[list[Json], int], cut: int, assemble: Assemble, checked: Checked
) -> None:
    chunks, choices = conversation
    body = _sse(chunks)
    assembly = assemble()
    stream = ChatStream(assembly, choices=choices)
    events = stream.feed(body[: cut % len(body)]) + stream.close()
    if not stream.committed:
        assert events == []
        assert not assembly.started
    if stream.ending is None:
        assert stream.failure is not None
        parsed = checked(events + assembly.fail(stream.failure.error))
        assert parsed[-1]["type"] == "response.failed"
    else:
        checked(events + assembly.finish(stream.ending, now=1))


@given(conversation=_conversations(max_choices=1), other=_conversations(max_choices=1))
def test_two_rounds_and_an_error_make_one_valid_response(
    conversation: tuple[list[Json], int], other: tuple[list[Json], int], assemble: Assemble, checked: Checked
) -> None:
    assembly = assemble()
    first = ChatStream(assembly)
    events = first.feed(_sse(conversation[0])) + first.close()
    for item in assembly.output:
        if item["type"] == "function_call":
            assembly.append_item({"type": "function_call_output", "call_id": item["call_id"], "output": "42"})
    events += assembly.take()
    if first.ending is not None and first.ending.status == "completed":
        second = ChatStream(assembly)
        events += second.feed(_sse(other[0], done=False)) + second.close()
    checked(events + assembly.fail(ErrorBody(ErrorCode.INTERNAL_ERROR, "a test")))
