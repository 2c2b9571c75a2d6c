"""The fold of events: at every point of a stream it is what a reader has, and what a later attempt can go on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.valid_stream import check_stream
from tokenbus_schemas import ATTEMPT_STRIDE, ErrorBody, ErrorCode, Event, EventLine, encode
from tokenbus_schemas.vocabulary import RESUMED, REWOUND
from tokenbus_translate import ChatStream, Ending, ResponseAssembly, ResponsesStream, fold_events
from tokenbus_translate.text import OUTPUT_TEXT

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]

_FOLDER = Path(__file__).parent / "recorded"
_LOST = ErrorBody(ErrorCode.EXECUTOR_LOST, "lost")
_COMPLETED = Ending("completed")


def _lines(events: list[Event], *, first: int = 0) -> list[EventLine]:
    return [EventLine(encode(event, number)) for number, event in enumerate(events, first)]


def _streamed(assembly: ResponseAssembly, body: bytes, *, chat: bool) -> list[Event]:
    stream = ChatStream(assembly, choices=3) if chat else ResponsesStream(assembly)
    return stream.feed(body) + stream.close()


def _check_every_prefix(events: list[Event], assemble: Assemble) -> None:
    """Whoever goes on behind any event can end the answer validly: `done` events say what the deltas said."""
    for count in range(1, len(events) + 1):
        told = _lines(events[:count])
        after = assemble()
        after.take_up(told)
        assert after.output == fold_events(told)
        check_stream([*told, *_lines(after.fail(_LOST), first=ATTEMPT_STRIDE)])


@pytest.mark.parametrize("name", sorted(path.stem for path in _FOLDER.glob("*.sse")))
def test_a_recorded_stream_can_be_ended_from_every_prefix_of_it(name: str, assemble: Assemble) -> None:
    body = (_FOLDER / f"{name}.sse").read_bytes()
    events = _streamed(assemble(), body, chat="_chat_" in name)
    _check_every_prefix(events, assemble)


_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
_delta = st.one_of(
    _text.map(lambda text: {"content": text}),
    _text.map(lambda text: {"reasoning_content": text}),
    _text.map(lambda text: {"refusal": text}),
    _text.map(lambda text: {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": text}}]}),
)
_chunks = st.lists(st.tuples(st.integers(0, 2), _delta), min_size=1, max_size=6)


def _chat_body(chunks: list[tuple[int, Json]]) -> bytes:
    said = [{"id": "x", "choices": [{"index": choice, "delta": delta}]} for choice, delta in chunks]
    return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in said)


@given(chunks=_chunks)
def test_any_stream_can_be_ended_from_every_prefix_of_it(chunks: list[tuple[int, Json]], assemble: Assemble) -> None:
    _check_every_prefix(_streamed(assemble(), _chat_body(chunks), chat=True), assemble)


@given(chunks=_chunks)
def test_the_fold_is_what_the_writer_has_at_every_moment(chunks: list[tuple[int, Json]], assemble: Assemble) -> None:
    assembly = assemble()
    stream = ChatStream(assembly, choices=3)
    told: list[Event] = []
    for chunk in chunks:
        told += stream.feed(_chat_body([chunk]))
        assert fold_events(_lines(told)) == assembly.output
    told += assembly.fail(_LOST)
    assert fold_events(_lines(told)) == assembly.output == orjson.loads(encode(told[-1], 0))["response"]["output"]


@given(chunks=_chunks, data=st.data())
def test_lost_events_are_healed_by_the_done_events_that_follow(
    chunks: list[tuple[int, Json]], data: st.DataObject, assemble: Assemble
) -> None:
    assembly = assemble()
    lines = _lines(_streamed(assembly, _chat_body(chunks), chat=True) + assembly.fail(_LOST))
    kept = [line for line in lines if line.type == "response.output_item.done" or data.draw(st.booleans())]
    found = {item["id"]: item for item in fold_events(kept)}
    assert all(item in assembly.output for item in found.values())
    if len(assembly.output) == 1:
        assert list(found.values()) == assembly.output


def _said(assembly: ResponseAssembly, *pieces: str) -> list[Event]:
    text = assembly.open_item({"type": "message"}).open_text(OUTPUT_TEXT)
    for piece in pieces:
        text.write(piece)
    return assembly.take()


def test_a_rewind_voids_what_stood_there_once_something_else_is_said(assemble: Assemble) -> None:
    assembly = assemble(attempt=1)
    assembly.append_item({"type": "function_call_output", "call_id": "c", "output": "kept"})
    told = _lines(assembly.take() + _said(assembly, "first", " try"))
    second = assemble(attempt=2)
    second.take_up(told)
    second.rewind(to=1)
    assert [item["type"] for item in second.output] == ["function_call_output"]
    told += _lines(_said(second, "again"), first=ATTEMPT_STRIDE)
    told += _lines(second.finish(_COMPLETED, now=1), first=told[-1].sequence_number + 1)

    rewound = told[len(told) - 8]
    assert rewound.data == {
        "type": REWOUND,
        "sequence_number": ATTEMPT_STRIDE,
        "attempt": 2,
        "output_index": 1,
    }
    events = check_stream(told)
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["function_call_output", "message"]
    assert events[-1]["response"]["output"][1]["content"][0]["text"] == "again"


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_a_rewind_that_nothing_follows_leaves_what_there_was(end: str, assemble: Assemble) -> None:
    assembly = assemble()
    told = _said(assembly, "partial")
    assembly.rewind(to=0)
    told += assembly.fail(_LOST) if end == "fail" else assembly.cancel()
    events = check_stream(_lines(told))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "partial"
    assert REWOUND not in [event["type"] for event in events]


def test_a_rewind_before_an_empty_answer_leaves_an_empty_answer(assemble: Assemble) -> None:
    assembly = assemble()
    told = _said(assembly, "partial")
    assembly.rewind(to=0)
    events = check_stream(_lines(told + assembly.finish(_COMPLETED, now=1)))
    assert events[-1]["response"]["output"] == []


@given(before=st.integers(3, 9), beyond=st.integers(0, 4))
def test_a_stream_that_was_resumed_is_read_once_whatever_was_seen_beyond(
    before: int, beyond: int, assemble: Assemble
) -> None:
    assembly = assemble()
    whole = _said(assembly, *"abcdefghijkl") + assembly.finish(_COMPLETED, now=1)
    note = Event(RESUMED, b',"attempt":2,"after":%d' % (before - 1))
    seen = _lines(whole[: before + beyond])
    again = _lines([note, *whole[before:]], first=ATTEMPT_STRIDE)
    assert fold_events([*seen, *again]) == assembly.output
    check_stream([*seen, again[0], *again[1 + beyond :]])  # as a reader hands it out


def test_a_line_that_comes_late_from_an_overtaken_attempt_is_passed_over(assemble: Assemble) -> None:
    assembly = assemble()
    told = _lines(_said(assembly, "one"), first=ATTEMPT_STRIDE)
    late = _lines(_said(assemble(attempt=1), "late"))
    assert fold_events([*told, *late]) == assembly.output
