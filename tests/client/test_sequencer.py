"""The sequencer: any mix of loss, repetition and reordering, healed by replay, gives the one stream."""

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus.sequencer import GAP_TYPE, Sequencer
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, encode


def line(number: int, kind: str = "response.output_text.delta") -> EventLine:
    return EventLine(encode(Event(kind, b',"delta":"%d"' % number), number))


def lines(*numbers: int) -> list[EventLine]:
    return [line(number) for number in numbers]


def numbers(events: Sequence[EventLine]) -> list[int]:
    return [event.sequence_number for event in events]


def terminal(number: int) -> EventLine:
    return line(number, "response.completed")


def test_lines_in_order_pass_at_once() -> None:
    sequencer = Sequencer()
    assert numbers(sequencer.feed(lines(0, 1, 2))) == [0, 1, 2]
    assert sequencer.missing_after is None


def test_a_duplicate_is_dropped() -> None:
    sequencer = Sequencer()
    sequencer.feed(lines(0, 1))
    assert sequencer.feed(lines(1, 0)) == []
    assert sequencer.missing_after is None


def test_a_gap_holds_later_lines_and_names_where_it_starts() -> None:
    sequencer = Sequencer()
    assert numbers(sequencer.feed(lines(0, 3))) == [0]
    assert sequencer.missing_after == 0
    assert sequencer.has_gap


def test_a_replay_page_fills_a_gap() -> None:
    sequencer = Sequencer()
    sequencer.feed(lines(0, 3))
    assert numbers(sequencer.fill(lines(1, 2, 3), more=False)) == [1, 2, 3]
    assert sequencer.missing_after is None


def test_lines_that_come_late_close_their_own_gap() -> None:
    sequencer = Sequencer()
    assert numbers(sequencer.feed(lines(2, 1, 0, 1, 3))) == [0, 1, 2, 3]
    assert sequencer.missing_after is None


def test_a_gap_that_is_given_up_is_reported_in_its_place() -> None:
    sequencer = Sequencer()
    sequencer.feed(lines(0, 3, 5))
    gap, *rest = sequencer.skip()
    assert (gap.type, gap.data["first_missing"], gap.data["last_missing"]) == (GAP_TYPE, 1, 2)
    assert numbers([gap, *rest]) == [2, 3]
    assert sequencer.missing_after == 3


def test_a_new_attempt_is_no_gap_but_waits_for_one_replay_of_the_old_ones_end() -> None:
    sequencer = Sequencer()
    assert numbers(sequencer.feed([*lines(0, 1), line(ATTEMPT_STRIDE)])) == [0, 1]
    assert sequencer.missing_after == 1
    page = lines(2, ATTEMPT_STRIDE)
    assert numbers(sequencer.fill(page, more=False)) == [2, ATTEMPT_STRIDE]


def test_a_page_that_ends_before_the_new_attempt_does_not_settle_the_seam() -> None:
    sequencer = Sequencer()
    sequencer.feed([line(0), line(ATTEMPT_STRIDE)])
    assert numbers(sequencer.fill(lines(1), more=True)) == [1]
    assert sequencer.missing_after == 1


def test_a_seam_that_no_replay_settles_is_passed_without_a_report() -> None:
    sequencer = Sequencer()
    sequencer.feed([line(0), line(ATTEMPT_STRIDE)])
    assert numbers(sequencer.skip()) == [ATTEMPT_STRIDE]


def test_a_later_attempt_that_lacks_its_start_is_a_gap() -> None:
    sequencer = Sequencer()
    sequencer.feed([line(0), line(ATTEMPT_STRIDE + 2)])
    gap = sequencer.skip()[0]
    assert (gap.data["first_missing"], gap.data["last_missing"]) == (ATTEMPT_STRIDE, ATTEMPT_STRIDE + 1)


def test_an_older_attempt_that_wakes_up_is_ignored() -> None:
    sequencer = Sequencer(after=ATTEMPT_STRIDE)
    assert sequencer.feed(lines(7, 8)) == []
    assert sequencer.missing_after is None


def test_a_terminal_event_ends_the_stream_even_with_a_number_already_passed() -> None:
    sequencer = Sequencer(after=ATTEMPT_STRIDE + 3)
    assert numbers(sequencer.feed([terminal(5)])) == [5]
    assert sequencer.ended
    assert sequencer.feed([line(ATTEMPT_STRIDE + 4), terminal(5)]) == []


def test_a_terminal_event_behind_a_gap_waits_for_the_gap() -> None:
    sequencer = Sequencer()
    assert sequencer.feed([terminal(2)]) == []
    assert numbers(sequencer.fill([*lines(0, 1), terminal(2)], more=False)) == [0, 1, 2]
    assert sequencer.ended


def test_doubt_asks_for_a_replay_until_its_last_page() -> None:
    sequencer = Sequencer(after=4)
    sequencer.doubt()
    assert sequencer.missing_after == 4
    sequencer.fill(lines(5), more=True)
    assert sequencer.missing_after == 5
    sequencer.fill(lines(6), more=False)
    assert sequencer.missing_after is None


def test_an_ended_stream_has_no_doubt() -> None:
    sequencer = Sequencer()
    sequencer.feed([terminal(0)])
    sequencer.doubt()
    assert sequencer.missing_after is None


def test_lines_beyond_the_bound_are_dropped_and_asked_for_again() -> None:
    sequencer = Sequencer(held_lines=2)
    sequencer.feed(lines(1, 2, 3))
    assert numbers(sequencer.fill(lines(0), more=False)) == [0, 1, 2]
    sequencer.feed(lines(5, 6, 7))
    assert numbers(sequencer.feed(lines(3, 4))) == [3, 4, 5, 6]
    assert sequencer.missing_after == 6, "line 7 was dropped, so a replay is due"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was published, and what the capture stored of it."""

    published: list[EventLine]
    stored: list[EventLine]

    def page(self, *, after: int, limit: int, stored_so_far: int) -> tuple[list[EventLine], bool]:
        newer = [event for event in self.stored[:stored_so_far] if event.sequence_number > after]
        return newer[:limit], len(newer) > limit


@st.composite
def answers(draw: st.DrawFn, *, lossy_capture: bool) -> Answer:
    lengths = draw(st.lists(st.integers(0, 8), min_size=1, max_size=3))
    published = [line(attempt * ATTEMPT_STRIDE + n) for attempt, size in enumerate(lengths) for n in range(size)]
    published.append(terminal((len(lengths) - 1) * ATTEMPT_STRIDE + lengths[-1]))
    lost = draw(st.sets(st.sampled_from(published[:-1]))) if lossy_capture and len(published) > 1 else set[EventLine]()
    return Answer(published, [event for event in published if event not in lost])


def read(answer: Answer, data: st.DataObject) -> list[EventLine]:
    """Drives a sequencer as a reader does: live messages as drawn, replays while asked for, gaps given up last."""
    sequencer = Sequencer(held_lines=data.draw(st.integers(1, 10), label="held_lines"))
    arriving = data.draw(st.lists(st.sampled_from(answer.published), max_size=40), label="live")
    events: list[EventLine] = []
    stored_so_far = 0
    while arriving:
        batch = [arriving.pop(0) for _ in range(data.draw(st.integers(1, len(arriving))))]
        events += sequencer.feed(batch)
        stored_so_far = data.draw(st.integers(stored_so_far, len(answer.stored)), label="stored so far")
        if (after := sequencer.missing_after) is not None:
            limit = data.draw(st.integers(1, 6), label="limit")
            page, more = answer.page(after=after, limit=limit, stored_so_far=stored_so_far)
            events += sequencer.fill(page, more=more)
        if data.draw(st.booleans(), label="reconnect"):
            sequencer.doubt()
    for _ in range(3 * len(answer.published) + 3):
        sequencer.doubt()  # the silence after the last message
        if (after := sequencer.missing_after) is None:
            break
        page, more = answer.page(after=after, limit=5, stored_so_far=len(answer.stored))
        cursor = sequencer.cursor
        events += sequencer.fill(page, more=more)
        if sequencer.cursor == cursor and sequencer.has_gap:
            events += sequencer.skip()
    assert sequencer.ended
    return events


@given(answer=answers(lossy_capture=False), data=st.data())
def test_any_interleaving_of_live_and_replay_gives_the_published_stream(answer: Answer, data: st.DataObject) -> None:
    assert read(answer, data) == answer.published


@given(answer=answers(lossy_capture=True), data=st.data())
def test_what_is_lost_for_good_is_reported_and_nothing_else_is_missing(answer: Answer, data: st.DataObject) -> None:
    events = read(answer, data)
    shown = [event for event in events if event.type != GAP_TYPE]
    reported = {
        number
        for event in events
        if event.type == GAP_TYPE
        for number in range(event.data["first_missing"], event.data["last_missing"] + 1)
    }
    assert numbers(events) == sorted(set(numbers(events)))
    assert shown == [event for event in answer.published if event in set(shown)]
    assert shown[-1] == answer.published[-1]
    assert not reported & set(numbers(shown))
    last_attempt = [event for event in answer.published if event.attempt == answer.published[-1].attempt]
    assert set(numbers(last_attempt)) <= reported | set(numbers(shown))


@pytest.mark.parametrize("after", [-1, 3, ATTEMPT_STRIDE + 1])
def test_nothing_up_to_the_start_is_handed_out(after: int) -> None:
    sequencer = Sequencer(after=after)
    assert sequencer.feed(lines(*range(after, max(after - 5, -1), -1))) == []


def test_a_line_that_stands_for_all_before_it_drops_those_and_goes_on_with_what_is_held() -> None:
    sequencer = Sequencer()
    sequencer.doubt()
    assert sequencer.feed(lines(3, 4, 5, 6)) == []
    assert numbers(sequencer.join(line(4))) == [4, 5, 6]
    assert numbers(sequencer.feed(lines(2, 7))) == [7]
    assert sequencer.join(line(4)) == []
