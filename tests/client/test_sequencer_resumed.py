"""A later attempt that goes on with the same stream: what a reader had beyond its start comes once."""

from hypothesis import given
from hypothesis import strategies as st

from tokenbus.sequencer import GAP_TYPE, Sequencer
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, encode
from tokenbus_schemas.vocabulary import RESUMED


def piece(place: int, *, number: int) -> EventLine:
    return EventLine(encode(Event("tokenbus:piece", b',"place":%d' % place), number))


def marker(*, attempt: int, after: int) -> EventLine:
    fields = b',"attempt":%d,"after":%d' % (attempt, after)
    return EventLine(encode(Event(RESUMED, fields), (attempt - 1) * ATTEMPT_STRIDE))


def end(number: int) -> EventLine:
    return EventLine(encode(Event("response.completed", b',"response":{}'), number))


def resumed(*, size: int, told: int, seen: int) -> tuple[list[EventLine], list[EventLine]]:
    """A stream of `size` pieces: what a reader saw of attempt 1, and attempt 2, which knows of `told` of them."""
    first = [piece(place, number=place) for place in range(seen)]
    base = ATTEMPT_STRIDE + 1
    rest = [piece(told + n, number=base + n) for n in range(size - told)]
    return first, [marker(attempt=2, after=told - 1), *rest, end(base + size - told)]


def places(lines: list[EventLine]) -> list[int]:
    return [line.data["place"] for line in lines if line.type == "tokenbus:piece"]


@given(told=st.integers(1, 6), beyond=st.integers(0, 5), more=st.integers(0, 5), chunk=st.integers(1, 4))
def test_every_piece_comes_once_whatever_was_seen_beyond(told: int, beyond: int, more: int, chunk: int) -> None:
    size = told + beyond + more
    first, second = resumed(size=size, told=told, seen=told + beyond)
    reader = Sequencer()
    ready = reader.feed(first)
    for start in range(0, len(second), chunk):
        ready += reader.feed(second[start : start + chunk])
        if reader.missing_after is not None:  # the seam: whoever asks gets what is stored by then
            ready += reader.fill(second[: start + chunk], more=False)
    assert reader.ended
    assert places(ready) == list(range(size))
    assert reader.missing_after is None


@given(told=st.integers(1, 6), missing=st.integers(1, 5))
def test_what_is_missing_before_the_resumption_is_a_gap(told: int, missing: int) -> None:
    first, second = resumed(size=told + missing + 2, told=told + missing, seen=told)
    reader = Sequencer()
    ready = reader.feed(first) + reader.feed(second) + reader.fill(second, more=False)
    assert reader.ended
    (gap,) = [line for line in ready if line.type == GAP_TYPE]
    assert (gap.data["first_missing"], gap.data["last_missing"]) == (told, told + missing - 1)
    assert places(ready) == [*range(told), told + missing, told + missing + 1]


def test_a_resumption_of_a_resumption_goes_on_as_well() -> None:
    first, second = resumed(size=10, told=2, seen=3)
    third = [marker(attempt=3, after=ATTEMPT_STRIDE + 3)]
    third += [piece(5 + n, number=2 * ATTEMPT_STRIDE + 1 + n) for n in range(5)] + [end(2 * ATTEMPT_STRIDE + 6)]
    reader = Sequencer()
    ready = reader.feed(first)
    for lines in (second[:5], third):
        ready += reader.feed(lines) + reader.fill(lines, more=False)
    assert places(ready) == list(range(10))
