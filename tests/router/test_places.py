"""How many of a tenant's line may move up: the rules of `places.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_router.places import Places, parse_places
from tokenbus_schemas import PRIORITY_CLASSES, Pool, Tenant
from tokenbus_schemas.subjects import WorkAddress

LINES = st.builds(
    WorkAddress,
    st.sampled_from([Pool("lab"), Pool("far")]),
    st.sampled_from(PRIORITY_CLASSES),
    st.sampled_from([Tenant("acme"), Tenant("trial"), Tenant("other")]),
)
COUNTS = st.dictionaries(LINES, st.integers(1, 50))
PLACES = st.builds(Places, st.integers(1, 20), st.dictionaries(st.sampled_from(["trial", "*"]), st.integers(1, 30)))


@given(PLACES, COUNTS, COUNTS, st.integers(1, 20))
def test_nobody_moves_beyond_its_places_and_nobody_who_may_is_left_out(
    places: Places, waiting: dict[WorkAddress, int], taken: dict[WorkAddress, int], batch: int
) -> None:
    moves = dict(places.moves(waiting=waiting, taken=taken, batch=batch))
    for line, waits in waiting.items():
        free = max(0, places.of(line.tenant) - taken.get(line, 0))
        assert moves.get(line, 0) == min(free, waits, batch)
    assert set(moves) <= set(waiting)


@given(PLACES, COUNTS)
def test_the_most_urgent_class_moves_first(places: Places, waiting: dict[WorkAddress, int]) -> None:
    ranks = [
        PRIORITY_CLASSES.index(move.line.priority_class) for move in places.moves(waiting=waiting, taken={}, batch=9)
    ]
    assert ranks == sorted(ranks)


def test_the_table_may_give_less_than_the_server_allows_and_never_more() -> None:
    places = Places(100, parse_places("trial=5, big=5000, *=50"))
    assert [places.of(name) for name in ("trial", "big", "someone")] == [5, 100, 50]
    assert [places.are_counted_by_us(name) for name in ("trial", "big", "someone")] == [True, False, True]
    assert not Places(100, parse_places("")).are_counted_by_us("someone")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("acme", "'acme' must be <tenant>=<number from 1>"),
        ("acme=0", "must be"),
        ("acme=-1", "must be"),
        ("acme=5, acme=6", "'acme' is there twice"),
        ("a.b=5", "tenant 'a.b' must be 1 to 64 characters"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_places(text)
