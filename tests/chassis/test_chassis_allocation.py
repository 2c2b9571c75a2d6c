"""Who gets the free slots: the rules of `allocation.py`, for any state."""

from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenbus_chassis.allocation import Queue, Rooms, allocate, slots_by_rank

QUEUES = st.lists(
    st.builds(
        Queue,
        asked=st.integers(0, 4),
        waiting=st.integers(0, 20),
        resting=st.booleans(),
        rank=st.integers(0, 2),
        last=st.integers(0, 99),
    ),
    min_size=1,
    max_size=12,
)
FREE = st.lists(st.integers(-2, 40), min_size=3, max_size=3)
TURN = st.integers(0, 1000)
DEPTH = st.integers(1, 4)
SHARE = st.floats(0.0, 1.0)


class Scarce(NamedTuple):
    """Fewer free slots than deaf queues, of one rank."""

    free: int
    queues: list[Queue]
    deaf: list[int]


@st.composite
def scarce(draw: st.DrawFn) -> Scarce:
    deaf = draw(st.lists(st.integers(0, 20).map(lambda waiting: Queue(0, waiting)), min_size=2, max_size=10))
    others = draw(
        st.lists(st.builds(Queue, asked=st.integers(1, 3), resting=st.booleans(), rank=st.just(0)), max_size=4)
    )
    queues = draw(st.permutations(deaf + others))
    numbers = [number for number, queue in enumerate(queues) if not queue.asked]
    return Scarce(draw(st.integers(1, len(deaf) - 1)), queues, numbers)


def room(free: list[int], rank: int) -> int:
    return max(0, min(free[: rank + 1]))


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_rank_is_asked_for_more_than_it_may_take(
    free: list[int], queues: list[Queue], turn: int, depth: int
) -> None:
    asks = allocate(Rooms(free), queues, turn=turn, depth=depth)
    assert len(asks) == len(queues)
    assert min(asks) >= 0
    for rank in range(3):
        assert sum(ask for ask, queue in zip(asks, queues, strict=True) if queue.rank >= rank) <= room(free, rank)


@given(FREE, QUEUES, TURN, DEPTH)
def test_a_resting_queue_is_left_alone(free: list[int], queues: list[Queue], turn: int, depth: int) -> None:
    asks = allocate(Rooms(free), queues, turn=turn, depth=depth)
    assert all(not ask for ask, queue in zip(asks, queues, strict=True) if queue.resting)


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_queue_is_deaf_while_slots_suffice(free: list[int], queues: list[Queue], turn: int, depth: int) -> None:
    deaf = [queue for queue in queues if not queue.asked and not queue.resting]
    assume(all(room(free, rank) >= sum(queue.rank >= rank for queue in deaf) for rank in range(3)))
    asks = allocate(Rooms(free), queues, turn=turn, depth=depth)
    assert all(ask or queue.asked or queue.resting for ask, queue in zip(asks, queues, strict=True))


@given(FREE, QUEUES, TURN)
def test_none_starves_when_slots_do_not_suffice(free: list[int], queues: list[Queue], first: int) -> None:
    deaf = {index for index, queue in enumerate(queues) if not queue.asked and not queue.resting}
    heard = {index for index in deaf if room(free, queues[index].rank)}
    ever: set[int] = set()
    for turn in range(first, first + 2 * len(queues) + 2):
        asks = allocate(Rooms(free), queues, turn=turn)
        ever |= {index for index in heard if asks[index]}
        queues = [queue._replace(last=100 + turn) if ask else queue for queue, ask in zip(queues, asks, strict=True)]
    assert ever == heard


@given(scarce(), TURN)
def test_the_first_in_priority_get_half_when_slots_do_not_suffice(state: Scarce, turn: int) -> None:
    two_turns = [allocate(Rooms([state.free]), state.queues, turn=turn + more) for more in (0, 1)]
    favoured = state.deaf[: (state.free + 1) // 2]
    assert sum(asks[number] for asks in two_turns for number in favoured) >= state.free


@given(FREE, QUEUES, TURN)
def test_free_slots_are_used_while_messages_are_known_to_wait(free: list[int], queues: list[Queue], turn: int) -> None:
    rooms = Rooms(free)
    asks = allocate(rooms, queues, turn=turn)
    for queue, ask in zip(queues, asks, strict=True):
        known = queue.waiting > queue.asked + ask and not queue.resting
        assert not known or rooms.of(queue.rank) == 0


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_queue_is_asked_beyond_its_depth_without_need(
    free: list[int], queues: list[Queue], turn: int, depth: int
) -> None:
    asks = allocate(Rooms(free), queues, turn=turn, depth=depth)
    for ask, queue in zip(asks, queues, strict=True):
        assert ask == 0 or queue.asked + ask <= max(depth, queue.waiting, 1)


@given(st.integers(1, 200), st.lists(st.integers(0, 2), min_size=1, max_size=40), st.tuples(SHARE, SHARE))
def test_what_a_rank_may_fill_never_grows_with_the_rank_and_is_never_nothing(
    slots: int, ranks: list[int], reserve: tuple[float, float]
) -> None:
    filled = slots_by_rank(slots, ranks=ranks, reserve=reserve)
    assert filled[0] == slots
    assert filled == sorted(filled, reverse=True)
    assert filled[-1] >= 1


@pytest.mark.parametrize(
    ("slots", "queues", "reserve", "filled"),
    [
        pytest.param(100, 1, (0.1, 0.2), [100, 90, 80], id="shares"),
        pytest.param(100, 11, (0.1, 0.2), [100, 89, 78], id="one slot for each urgent queue"),
        pytest.param(16, 11, (0.1, 0.2), [16, 12, 12], id="but no more than a quarter for that"),
        pytest.param(2, 1, (0.1, 0.2), [2, 2, 2], id="few slots: nothing is kept"),
        pytest.param(100, 1, (0.0, 0.0), [100, 99, 98], id="no share: queues are heard all the same"),
        pytest.param(5, 1, (0.9, 1.0), [5, 1, 1], id="never nothing"),
    ],
)
def test_slots_by_rank(slots: int, queues: int, reserve: tuple[float, float], filled: list[int]) -> None:
    ranks = [rank for rank in range(3) for _ in range(queues)]
    assert slots_by_rank(slots, ranks=ranks, reserve=reserve) == filled


@pytest.mark.parametrize(
    ("free", "queues", "turn", "depth", "asks"),
    [
        pytest.param(8, [Queue(), Queue(), Queue()], 0, 1, [1, 1, 1], id="idle: each is listened to, the rest stays"),
        pytest.param(9, [Queue(), Queue(), Queue()], 0, 2, [2, 2, 2], id="idle with depth: a little more for each"),
        pytest.param(8, [Queue(1), Queue(1, 20), Queue(1)], 0, 1, [0, 8, 0], id="a burst gets all that is free"),
        pytest.param(4, [Queue(1, 3), Queue(1, 9), Queue(1)], 0, 1, [2, 2, 0], id="bursts in order of priority"),
        pytest.param(1, [Queue(), Queue(), Queue()], 0, 1, [1, 0, 0], id="one slot, even turn: the first"),
        pytest.param(
            1, [Queue(last=9), Queue(last=8), Queue(last=7)], 1, 1, [0, 0, 1], id="one slot, odd turn: longest"
        ),
        pytest.param(1, [Queue(resting=True), Queue(), Queue()], 0, 1, [0, 1, 0], id="who rests is passed over"),
    ],
)
def test_examples_of_one_rank(free: int, queues: list[Queue], turn: int, depth: int, asks: list[int]) -> None:
    assert allocate(Rooms([free]), queues, turn=turn, depth=depth) == asks


def test_a_full_class_leaves_what_is_kept_from_it() -> None:
    queues = [Queue(rank=0), Queue(asked=1, waiting=50, rank=1), Queue(asked=1, waiting=900, rank=2)]
    assert allocate(Rooms([30, 20, 5]), queues, turn=0) == [1, 20, 0]
    assert allocate(Rooms([30, 20, 5]), [queues[0], Queue(asked=1, rank=1), queues[2]], turn=0) == [1, 0, 5]
    assert allocate(Rooms([10, 0, 0]), queues, turn=0) == [1, 0, 0]
