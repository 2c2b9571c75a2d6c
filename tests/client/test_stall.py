"""When a connection moves away from a server whose JetStream is gone."""

import itertools

from tokenbus.stall import FORGET_S, LONGEST_PAUSE_S, PAUSE_S, StallWatch


def test_a_row_of_failures_over_its_time_moves() -> None:
    watch = StallWatch(after=3, for_s=8.0)
    assert [watch.failed(now) for now in (0.0, 1.0, 2.0, 7.9, 8.0)] == [False, False, False, False, True]


def test_many_failures_at_once_are_an_election_and_do_not_move() -> None:
    watch = StallWatch(after=3, for_s=8.0)
    assert not any(watch.failed(number / 100) for number in range(700))


def test_one_sign_of_health_ends_a_row() -> None:
    watch = StallWatch(after=2, for_s=1.0)
    assert not watch.failed(0.0)
    watch.healthy()
    assert not watch.failed(5.0)
    assert watch.failed(6.0)


def test_failures_far_apart_are_no_row() -> None:
    watch = StallWatch(after=2, for_s=1.0)
    times = [number * (FORGET_S + 1) for number in range(10)]
    assert not any(watch.failed(now) for now in times)


def test_a_reconnect_ends_a_row() -> None:
    watch = StallWatch(after=2, for_s=1.0)
    assert not watch.failed(0.0)
    watch.reconnected()
    assert not watch.failed(2.0)


def test_moves_that_help_nothing_come_ever_more_rarely() -> None:
    watch = StallWatch(after=1, for_s=0.0)
    moves: list[float] = []
    for now in range(2000):
        if watch.failed(float(now)):
            watch.moved(float(now))
            watch.reconnected()
            moves.append(float(now))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moves)]
    assert gaps[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert max(gaps) == LONGEST_PAUSE_S


def test_health_after_a_move_makes_the_next_one_quick_again() -> None:
    watch = StallWatch(after=1, for_s=0.0)
    for now in (0.0, PAUSE_S):
        assert watch.failed(now)
        watch.moved(now)
    watch.healthy()
    assert watch.failed(100.0)
    watch.moved(100.0)
    assert not watch.failed(100.0 + PAUSE_S - 1)
    assert watch.failed(100.0 + PAUSE_S)
