"""The book of pull requests against a simulated server: any order of answers, losses and restarts."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tokenbus_chassis.pulls import Pull, PullBook, PullTimes

TIMES = PullTimes()


class ServedBook(RuleBasedStateMachine):
    """A server with a line of requests per queue, which answers, forgets, restarts or is slow."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queues = 3
        self.slots = [5, 4, 2]
        self.book = PullBook(ranks=range(self.queues), slots=self.slots)
        self.at_server: list[deque[Pull]] = [deque() for _ in range(self.queues)]
        self.running = [0, 0, 0]
        self.sound = True
        """No request was lost so far, so server and book must agree to the number."""

    def send(self) -> None:
        for pull in self.book.plan(self.now):
            self.at_server[pull.queue].append(pull)

    @rule()
    def plan(self) -> None:
        self.send()

    @rule(queue=st.integers(0, 2), waiting=st.integers(0, 5))
    def deliver(self, queue: int, waiting: int) -> None:
        if not self.at_server[queue]:
            return
        self.at_server[queue].popleft()
        taken = self.book.delivered(queue, waiting=waiting)
        assert taken or not self.sound
        self.running[queue] += taken
        self.send()

    @rule(queue=st.integers(0, 2), status=st.sampled_from([404, 408, 409, 503]), place=st.integers(0, 9))
    def end(self, queue: int, status: int, place: int) -> None:
        line = self.at_server[queue]
        if not line:
            return
        pull = line[place % len(line)]
        line.remove(pull)
        verdict = self.book.answered(queue, pull.number, self.now, status=status, description="Consumer Deleted")
        assert verdict == ("fine" if status in (404, 408) else "missing")
        self.send()

    @precondition(lambda self: any(self.running))
    @rule(place=st.integers(0, 9))
    def finish(self, place: int) -> None:
        in_hand = [rank for rank, running in enumerate(self.running) for _ in range(running)]
        rank = in_hand[place % len(in_hand)]
        self.book.finished(rank)
        self.running[rank] -= 1
        self.send()

    @rule(queue=st.integers(0, 2))
    def lose_a_request(self, queue: int) -> None:
        if self.at_server[queue]:
            self.at_server[queue].popleft()
            self.sound = False

    @rule()
    def reconnect(self) -> None:
        for line in self.at_server:
            line.clear()
        self.book.reset()
        self.sound = True
        self.send()

    @rule(seconds=st.sampled_from([0.001, 0.05, 1.0, 4.9]))
    def pass_time_with_heartbeats(self, seconds: float) -> None:
        self.now += seconds
        for line in self.at_server:
            for pull in line:
                self.book.answered(pull.queue, pull.number, self.now, status=100, description="Idle Heartbeat")

    @rule()
    def wait_until_due(self) -> None:
        """Everything the server has forgotten is found lost, and asked again."""
        self.now = self.book.next_due(self.now)
        if self.book.expire(self.now):
            self.sound = False
        self.send()

    @invariant()
    def promises_never_exceed_slots(self) -> None:
        assert self.book.running == sum(self.running)
        assert self.book.running + self.book.asked <= self.slots[0]

    @invariant()
    def each_rank_leaves_free_what_is_kept_from_it(self) -> None:
        if self.sound:
            promised = [len(line) + running for line, running in zip(self.at_server, self.running, strict=True)]
            assert all(sum(promised[rank:]) <= most for rank, most in enumerate(self.slots))

    @invariant()
    def book_and_server_agree(self) -> None:
        assert not self.sound or self.book.asked == sum(map(len, self.at_server))


TestServedBook = ServedBook.TestCase
TestServedBook.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def book(*, queues: int = 3, slots: int = 64) -> PullBook:
    return PullBook(ranks=[0] * queues, slots=[slots])


def numbers_of(pulls: list[Pull]) -> list[int]:
    return [pull.queue for pull in pulls]


def test_an_idle_book_with_room_listens_to_every_queue_for_long() -> None:
    pulls = book().plan(0.0)
    assert set(numbers_of(pulls)) == {0, 1, 2}
    assert len(pulls) <= 64 // 4
    assert {(pull.wait_s, pull.heartbeat_s) for pull in pulls} == {(TIMES.roomy_s, TIMES.heartbeat_s)}


def test_a_single_slot_goes_round_within_a_tenth_of_a_second() -> None:
    single = book(slots=1)
    now, asked = 0.0, set[int]()
    while len(asked) < 3:
        (pull,) = single.plan(now)
        asked.add(pull.queue)
        now += pull.wait_s
        single.answered(pull.queue, pull.number, now, status=408, description="Request Timeout")
    assert now <= 0.1


def test_a_burst_is_asked_for_at_once() -> None:
    burst = book(slots=64)
    burst.plan(0.0)
    assert burst.delivered(1, waiting=30)
    assert numbers_of(burst.plan(0.0)).count(1) >= 27


def test_requests_do_not_wait_while_messages_are_known_elsewhere() -> None:
    busy = book(queues=2, slots=1)
    (pull,) = busy.plan(0.0)
    busy.answered(pull.queue, pull.number, 0.0, status=408, description="Request Timeout")
    (pull,) = busy.plan(0.0)
    assert pull.queue == 1
    busy.delivered(1, waiting=9)
    busy.finished(0)
    (probe,) = busy.plan(0.0)
    assert (probe.queue, probe.wait_s) == (0, TIMES.probe_s)
    busy.answered(0, probe.number, 0.0, status=408, description="Request Timeout")
    (next_pull,) = busy.plan(0.0)
    assert next_pull.queue == 1, "the empty queue rests, the slot goes to the waiting messages"


def test_a_request_without_heartbeats_is_lost_and_asked_again() -> None:
    silent = book(queues=1, slots=4)
    (pull,) = silent.plan(0.0)
    assert silent.plan(0.0) == []
    due = silent.next_due(0.0)
    assert due == 2 * TIMES.heartbeat_s
    assert silent.expire(due - 0.01) == 0
    assert silent.expire(due) == 1
    assert numbers_of(silent.plan(due)) == [0]
    assert pull.number == 1


def test_an_answer_after_its_request_was_given_up_can_find_no_slot() -> None:
    late = book(queues=1, slots=1)
    late.plan(0.0)
    late.expire(99.0)
    late.plan(99.0)
    assert late.delivered(0, waiting=0), "it takes the place of the second request"
    assert not late.delivered(0, waiting=0), "and the answer to that one finds no slot"


def test_a_missing_consumer_is_left_alone_for_a_while() -> None:
    gone = book(queues=1, slots=4)
    (pull,) = gone.plan(0.0)
    assert gone.answered(0, pull.number, 0.0, status=503, description="") == "missing"
    assert gone.plan(0.0) == []
    assert gone.next_due(0.0) == TIMES.trouble_s
    assert len(gone.plan(TIMES.trouble_s)) == 1


@pytest.mark.parametrize(
    ("status", "description", "verdict"),
    [
        (404, "No Messages", "fine"),
        (408, "Request Timeout", "fine"),
        (409, "Consumer Deleted", "missing"),
        (409, "Leadership Change", "refused"),
        (409, "Exceeded MaxWaiting", "refused"),
        (503, "", "missing"),
        (400, "Bad Request", "refused"),
    ],
)
def test_each_status_has_its_verdict(status: int, description: str, verdict: str) -> None:
    any_book = book()
    pull = any_book.plan(0.0)[0]
    assert any_book.answered(pull.queue, pull.number, 0.0, status=status, description=description) == verdict


@pytest.mark.parametrize(("queues", "slots"), [(0, 1), (1, 0)])
def test_a_book_without_queues_or_slots_is_refused(queues: int, slots: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PullBook(ranks=[0] * queues, slots=[slots])


@pytest.mark.parametrize(("ranks", "slots"), [([0, 1], [4]), ([0, 1], [4, 5]), ([-1], [4])])
def test_ranks_without_slots_of_their_own_are_refused(ranks: list[int], slots: list[int]) -> None:
    with pytest.raises(ValueError, match="for ranks"):
        PullBook(ranks=ranks, slots=slots)


def test_slots_kept_for_the_urgent_listen_in_peace_while_other_queues_are_full() -> None:
    flooded = PullBook(ranks=[0, 1], slots=[16, 12])
    flooded.plan(0.0)
    while flooded.delivered(1, waiting=500):
        flooded.plan(0.0)
    assert flooded.running == 12
    flooded.reset()
    kept = flooded.plan(0.0)
    assert set(numbers_of(kept)) == {0}
    assert {pull.wait_s for pull in kept} == {TIMES.roomy_s}
    flooded.answered(0, kept[0].number, 0.0, status=408, description="Request Timeout")
    assert numbers_of(flooded.plan(0.0)) == [0], "it need not rest: nobody else could use the slot"


def grouped() -> PullBook:
    """Two queues of group `lab`, then one of none."""
    return PullBook(ranks=[0, 0, 0], slots=[20], groups=["lab", "lab", ""])


def test_a_group_without_room_is_asked_nothing_and_the_others_all_the_same() -> None:
    shut = grouped()
    assert set(numbers_of(shut.plan(0.0, group_rooms={"lab": 0}))) == {2}
    assert numbers_of(shut.plan(0.0, group_rooms={"lab": 1})) == [0, 1]


def test_a_group_is_asked_for_no_more_than_it_has_room_for() -> None:
    flooded = grouped()
    flooded.plan(0.0, group_rooms={"lab": 5})
    assert flooded.delivered(0, waiting=100)
    assert numbers_of(flooded.plan(0.0, group_rooms={"lab": 4})) == [0] * 4


def test_messages_that_wait_in_a_shut_group_make_no_other_queue_rest() -> None:
    flooded = grouped()
    pulls = flooded.plan(0.0, group_rooms={"lab": 1})
    assert flooded.delivered(0, waiting=100)
    flooded.plan(0.0, group_rooms={"lab": 0})
    (last, *_) = [pull for pull in pulls if pull.queue == 2]
    flooded.answered(2, last.number, 0.0, status=408, description="")
    assert 2 in numbers_of(flooded.plan(0.0, group_rooms={"lab": 0}))


@given(
    rooms=st.lists(st.integers(-2, 12), min_size=1, max_size=8),
    waiting=st.lists(st.integers(0, 30), min_size=8, max_size=8),
)
def test_each_queue_of_a_group_with_room_has_its_turn_and_all_together_that_room(
    rooms: list[int], waiting: list[int]
) -> None:
    book = grouped()
    for room, behind in zip(rooms, waiting, strict=False):
        for pull in book.plan(0.0, group_rooms={"lab": room}):
            assert pull.queue == 2 or room > 0
            if pull.queue == 0:
                book.delivered(0, waiting=behind)
                book.finished(0)
        assert book.asked <= max(0, *rooms) + 2 + 4
