"""The text view: all pieces together are the final text, whatever the order of parts and whatever was lost."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answerer import delta, fields, numbered
from tokenbus.answer_text import AnswerText
from tokenbus.sequencer import Sequencer
from tokenbus_schemas import Event, EventLine, Response
from tokenbus_schemas.vocabulary import REWOUND


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


def rewound(place: int = 0) -> Event:
    return Event(REWOUND, fields(attempt=2, output_index=place))


def said(*pieces: str, place: int = 0) -> list[Event]:
    return [opened(place), *[delta(piece, output_index=place) for piece in pieces]]


def test_text_that_is_said_again_is_shown_once() -> None:
    text = AnswerText()
    events = [*said("Once upon"), rewound(), *said("Once", " up", "on a", " time"), closed(0)]
    assert shown(text, numbered(events)) == ["Once upon", " a", " time"]
    assert text.finish(final("Once upon a time")) == ""


def test_other_words_are_not_shown_behind_those_they_replace() -> None:
    text = AnswerText()
    events = [*said("Once upon"), rewound(), *said("Once", " there", " was"), closed(0)]
    assert shown(text, numbered(events)) == ["Once upon"]
    assert text.in_doubt
    assert text.finish(final("Once there was")) is None


def test_text_before_the_rewind_stays() -> None:
    text = AnswerText()
    events = [*said("A"), closed(0), *said("B", "C", place=2), rewound(2), *said("BC", "D", place=2)]
    assert shown(text, numbered(events)) == ["A", "B", "C", "D"]
    assert text.finish(final("A", "BCD")) == ""


def cut(text: str, places: Sequence[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@given(
    texts=st.lists(st.text(max_size=6), min_size=1, max_size=3),
    broken=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=3),
    cuts=st.lists(st.integers(0, 50), max_size=6),
)
def test_whatever_is_said_anew_is_never_shown_twice(
    texts: list[str], broken: list[tuple[int, bool]], cuts: list[int]
) -> None:
    """Parts are told one by one; each try but the last breaks off somewhere, or says something else."""
    events: list[Event] = []
    other = False
    for length, is_other in [*broken, (10_000, False)]:
        left = length
        for place, whole in enumerate(texts):
            told = whole[: max(0, left)]
            left -= len(whole)
            if is_other and told:
                told, other = "~" + told, True
            events += said(*cut(told, cuts), place=place)
            if left < 0:
                break
            events.append(closed(place))
        events.append(rewound())
    text = AnswerText()
    pieces = "".join(shown(text, numbered(events[:-1])))
    rest = text.finish(final(*texts))
    if rest is None:
        assert text.in_doubt
        assert other
    else:
        assert pieces + rest == "".join(texts)
