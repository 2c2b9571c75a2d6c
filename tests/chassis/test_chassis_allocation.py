"""Who gets the free slots: the rules of `allocation.py`, for any state."""

from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenbus_chassis.allocation import Queue, allocate

QUEUES = st.lists(
    st.builds(Queue, asked=st.integers(0, 4), waiting=st.integers(0, 20), resting=st.booleans()),
    min_size=1,
    max_size=12,
)
FREE = st.integers(0, 40)
TURN = st.integers(0, 1000)
DEPTH = st.integers(1, 4)


class Scarce(NamedTuple):
    """Fewer free slots than deaf queues."""

    free: int
    queues: list[Queue]
    deaf: list[int]


@st.composite
def scarce(draw: st.DrawFn) -> Scarce:
    deaf = draw(st.lists(st.integers(0, 20).map(lambda waiting: Queue(0, waiting)), min_size=2, max_size=10))
    others = draw(st.lists(st.builds(Queue, asked=st.integers(1, 3), resting=st.booleans()), max_size=4))
    queues = draw(st.permutations(deaf + others))
    numbers = [number for number, queue in enumerate(queues) if not queue.asked]
    return Scarce(draw(st.integers(1, len(deaf) - 1)), queues, numbers)


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_more_is_asked_than_slots_are_free(free: int, queues: list[Queue], turn: int, depth: int) -> None:
    asks = allocate(free, queues, turn=turn, depth=depth)
    assert len(asks) == len(queues)
    assert min(asks) >= 0
    assert sum(asks) <= free


@given(FREE, QUEUES, TURN, DEPTH)
def test_a_resting_queue_is_left_alone(free: int, queues: list[Queue], turn: int, depth: int) -> None:
    asks = allocate(free, queues, turn=turn, depth=depth)
    assert all(not ask for ask, queue in zip(asks, queues, strict=True) if queue.resting)


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_queue_is_deaf_while_slots_suffice(free: int, queues: list[Queue], turn: int, depth: int) -> None:
    deaf = [queue for queue in queues if not queue.asked and not queue.resting]
    assume(free >= len(deaf))
    asks = allocate(free, queues, turn=turn, depth=depth)
    assert all(ask or queue.asked or queue.resting for ask, queue in zip(asks, queues, strict=True))


@given(scarce(), TURN)
def test_none_starves_when_slots_do_not_suffice(state: Scarce, first: int) -> None:
    turns = range(first, first + 2 * len(state.deaf))
    asked = [allocate(state.free, state.queues, turn=turn) for turn in turns]
    assert all(any(asks[number] for asks in asked) for number in state.deaf)


@given(scarce(), TURN)
def test_the_first_in_priority_get_half_when_slots_do_not_suffice(state: Scarce, turn: int) -> None:
    two_turns = [allocate(state.free, state.queues, turn=turn + more) for more in (0, 1)]
    favoured = state.deaf[: (state.free + 1) // 2]
    assert sum(asks[number] for asks in two_turns for number in favoured) >= state.free


@given(FREE, QUEUES, TURN)
def test_free_slots_are_used_while_messages_are_known_to_wait(free: int, queues: list[Queue], turn: int) -> None:
    asks = allocate(free, queues, turn=turn)
    known = any(
        queue.waiting > queue.asked + ask and not queue.resting for ask, queue in zip(asks, queues, strict=True)
    )
    assert sum(asks) == free or not known


@given(FREE, QUEUES, TURN, DEPTH)
def test_no_queue_is_asked_beyond_its_depth_without_need(free: int, queues: list[Queue], turn: int, depth: int) -> None:
    asks = allocate(free, queues, turn=turn, depth=depth)
    for ask, queue in zip(asks, queues, strict=True):
        assert ask == 0 or queue.asked + ask <= max(depth, queue.waiting, 1)


@pytest.mark.parametrize(
    ("free", "queues", "turn", "depth", "asks"),
    [
        pytest.param(8, [Queue(), Queue(), Queue()], 0, 1, [1, 1, 1], id="idle: each is listened to, the rest stays"),
        pytest.param(9, [Queue(), Queue(), Queue()], 0, 2, [2, 2, 2], id="idle with depth: a little more for each"),
        pytest.param(8, [Queue(1), Queue(1, 20), Queue(1)], 0, 1, [0, 8, 0], id="a burst gets all that is free"),
        pytest.param(4, [Queue(1, 3), Queue(1, 9), Queue(1)], 0, 1, [2, 2, 0], id="bursts in order of priority"),
        pytest.param(1, [Queue(), Queue(), Queue()], 0, 1, [1, 0, 0], id="one slot, even turn: the first"),
        pytest.param(1, [Queue(), Queue(), Queue()], 1, 1, [0, 1, 0], id="one slot, odd turn: the others in turn"),
        pytest.param(1, [Queue(), Queue(), Queue()], 3, 1, [0, 0, 1], id="one slot, next odd turn: the next"),
        pytest.param(1, [Queue(resting=True), Queue(), Queue()], 0, 1, [0, 1, 0], id="who rests is passed over"),
    ],
)
def test_examples(free: int, queues: list[Queue], turn: int, depth: int, asks: list[int]) -> None:
    assert allocate(free, queues, turn=turn, depth=depth) == asks
