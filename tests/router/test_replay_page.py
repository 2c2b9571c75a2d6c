"""A page of a replay: every line once, in order, the end last, within its limits."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_router.replay_page import PageBuilder
from tokenbus_schemas import ATTEMPT_STRIDE, Event, ReplayPage, encode
from tokenbus_schemas.events import COMPLETED

MANY = 10_000
DELTA = "response.output_text.delta"


def line(number: int, *, event_type: str = DELTA, text: str = "x") -> bytes:
    return encode(Event(event_type, b',"delta":' + orjson.dumps(text)), number)


def page(
    messages: list[bytes], *, after: int = -1, limit: int = MANY, max_bytes: int = 10**6, end: bytes | None = None
) -> ReplayPage:
    builder = PageBuilder(after=after, limit=limit, max_bytes=max_bytes, end=end)
    for message in messages:
        builder.feed(message)
    reply = builder.close(otherwise="queued")
    found = orjson.loads(reply)
    assert len(reply) <= max_bytes or len(found["events"]) <= 1
    return ReplayPage.model_validate_json(reply)


def numbers(found: ReplayPage) -> list[int]:
    return [event["sequence_number"] for event in found.events]


def test_events_are_copied_as_they_are() -> None:
    found = page([line(0, text='quote " and ünïcode'), line(1, text="two") + b"\n" + line(2)])
    assert found.state == "streaming"
    assert [event["delta"] for event in found.events] == ['quote " and ünïcode', "two", "x"]


def test_only_what_comes_after_the_cursor_is_returned() -> None:
    assert numbers(page([line(0) + b"\n" + line(1), line(2), line(3)], after=1)) == [2, 3]


def test_the_terminal_event_of_results_comes_last_even_where_events_lost_it() -> None:
    found = page([line(0), line(1)], end=line(5, event_type=COMPLETED))
    assert (found.state, numbers(found)) == ("ended", [0, 1, 5])


def test_the_terminal_event_is_not_repeated() -> None:
    end = line(2, event_type=COMPLETED)
    assert numbers(page([line(0), line(1), end, end], end=end)) == [0, 1, 2]


def test_events_that_a_stalled_attempt_published_after_the_end_are_left_out() -> None:
    end = line(2, event_type=COMPLETED)
    assert numbers(page([line(0), line(1), line(3), end, line(ATTEMPT_STRIDE)], end=end)) == [0, 1, 2]


def test_a_reader_that_has_the_terminal_event_gets_nothing_more() -> None:
    found = page([line(0)], after=5, end=line(5, event_type=COMPLETED))
    assert (found.state, found.events, found.more) == ("ended", [], False)


def test_a_reader_beyond_the_terminal_event_is_healed_by_it() -> None:
    assert numbers(page([line(0)], after=9, end=line(5, event_type=COMPLETED))) == [5]


def test_a_terminal_event_that_only_events_has_ends_it_too() -> None:
    found = page([line(0), line(1, event_type=COMPLETED)])
    assert (found.state, numbers(found)) == ("ended", [0, 1])


def test_what_an_overtaken_attempt_publishes_late_is_left_out() -> None:
    later = ATTEMPT_STRIDE
    assert numbers(page([line(0), line(later), line(1), line(later + 1)])) == [0, later, later + 1]


def test_a_request_without_events_has_the_state_that_its_caller_found() -> None:
    assert page([]).state == "queued"


def test_a_reader_that_has_everything_so_far_sees_that_it_streams() -> None:
    found = page([line(0), line(1)], after=1)
    assert (found.state, found.events, found.more) == ("streaming", [], False)


def test_a_message_that_holds_no_events_is_passed_over() -> None:
    assert numbers(page([line(0), b"junk", b"", line(1)])) == [0, 1]


def test_a_line_larger_than_a_page_still_comes() -> None:
    found = page([line(0, text="y" * 500), line(1)], max_bytes=100)
    assert (numbers(found), found.more) == ([0], True)


def all_pages(messages: list[bytes], *, end: bytes | None, limit: int, max_bytes: int) -> list[dict[str, Any]]:
    """What a reader gets that asks until nothing more follows."""
    events: list[dict[str, Any]] = []
    after = -1
    while True:
        found = page(messages, after=after, limit=limit, max_bytes=max_bytes, end=end)
        assert len(found.events) <= limit
        events += found.events
        if not found.more:
            return events
        assert found.events, "a page that says more must move the cursor"
        after = found.events[-1]["sequence_number"]


@given(
    st.lists(st.tuples(st.text(max_size=20), st.booleans()), max_size=30),
    st.integers(1, 8),
    st.integers(1, 600),
    st.booleans(),
)
def test_pages_of_any_size_add_up_to_the_whole(
    texts: list[tuple[str, bool]], limit: int, max_bytes: int, has_end: bool
) -> None:
    messages: list[bytes] = []
    for number, (text, joined) in enumerate(texts):
        if joined and messages:
            messages[-1] += b"\n" + line(number, text=text)
        else:
            messages.append(line(number, text=text))
    end = line(len(texts) + 3, event_type=COMPLETED, text="end") if has_end else None
    got = all_pages(messages, end=end, limit=limit, max_bytes=max_bytes)
    expected = [text for text, _ in texts] + ["end"] * has_end
    assert [event["delta"] for event in got] == expected
