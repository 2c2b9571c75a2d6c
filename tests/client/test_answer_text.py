"""The text view: all pieces together are the final text, whatever the order of parts and whatever was lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answerer import delta, fields, numbered
from tokenbus.answer_text import AnswerText
from tokenbus.sequencer import Sequencer
from tokenbus_schemas import Event, EventLine, Response


def opened(place: int) -> Event:
    return Event("response.content_part.added", fields(output_index=place, content_index=0))


def closed(place: int) -> Event:
    return Event("response.content_part.done", fields(output_index=place, content_index=0))


def final(*texts: str) -> Response:
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]} for text in texts]
    return Response(id="resp_1", status="completed", model="m", output=output)


def shown(text: AnswerText, lines: Sequence[EventLine]) -> list[str]:
    return [piece for line in lines if (piece := text.feed(line))]


def test_deltas_are_shown_at_once() -> None:
    assert shown(AnswerText(), numbered([opened(0), delta("a"), delta("b")])) == ["a", "b"]


def test_a_later_part_waits_until_the_parts_before_it_are_done() -> None:
    events = [opened(0), opened(1), delta("B", output_index=1), delta("A"), closed(1), closed(0)]
    assert shown(AnswerText(), numbered(events)) == ["A", "B"]


def test_parts_one_after_another_need_no_waiting() -> None:
    events = [opened(0), delta("A"), closed(0), opened(1), delta("B", output_index=1)]
    assert shown(AnswerText(), numbered(events)) == ["A", "B"]


def test_text_that_came_without_deltas_is_shown_at_the_end() -> None:
    text = AnswerText()
    shown(text, numbered([opened(0), delta("A")]))
    assert text.finish(final("ABC")) == "BC"


def test_a_final_text_that_begins_otherwise_is_not_taken() -> None:
    text = AnswerText()
    shown(text, numbered([delta("A")]))
    assert text.finish(final("BC")) is None


@pytest.mark.parametrize("kind", ["response.refusal.delta", "response.reasoning_text.delta", "tokenbus:other"])
def test_other_events_are_no_text(kind: str) -> None:
    assert shown(AnswerText(), numbered([Event(kind, fields(output_index=0, delta="no"))])) == []


@st.composite
def interleaved_parts(draw: st.DrawFn) -> tuple[list[EventLine], Response]:
    """Parts whose deltas come in any mixed order, each opened before and closed after its own."""
    texts = draw(st.lists(st.lists(st.text(max_size=3), max_size=5), min_size=1, max_size=3))
    queues = [
        [delta(piece, output_index=place) for piece in text] + [closed(place)] for place, text in enumerate(texts)
    ]
    events = [opened(place) for place in range(len(texts))]
    while waiting := [queue for queue in queues if queue]:
        events.append(draw(st.sampled_from(waiting)).pop(0))
    return numbered([*events, Event("response.completed", b"")]), final(*["".join(text) for text in texts])


@given(answer=interleaved_parts(), data=st.data())
def test_all_pieces_are_the_final_text_whatever_is_lost(
    answer: tuple[list[EventLine], Response], data: st.DataObject
) -> None:
    lines, response = answer
    lost = data.draw(st.sets(st.sampled_from(lines[:-1])))
    sequencer, text = Sequencer(), AnswerText()
    ready = sequencer.feed([line for line in lines if line not in lost])
    while not sequencer.ended:
        ready += sequencer.skip()
    pieces = shown(text, ready)
    assert response.output_text.startswith("".join(pieces))
    assert "".join(pieces) + (text.finish(response) or "") == response.output_text
    if not lost:
        assert "".join(pieces) == response.output_text
