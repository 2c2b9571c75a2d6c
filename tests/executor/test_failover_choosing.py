"""Which target comes next: properties over any targets, failures and states, and the rules one by one."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.conftest import target
from tokenbus_executor.failover import Failover, FailoverPolicy, GiveUp, TargetFailure, Try, Wait
from tokenbus_schemas import ErrorBody, ErrorCode, Standing, Target, TargetState
from tokenbus_schemas.cooldown import READY
from tokenbus_schemas.work import Strategy

NOW = 1_000.0
LATER = NOW + 1e6
POLICY = FailoverPolicy(tries=3, pause_s=0.5, patience_s=60.0)

PASSING = TargetFailure(ErrorBody(ErrorCode.UPSTREAM_ERROR, "broke"), elsewhere=True, again=True)
FINAL = TargetFailure(ErrorBody(ErrorCode.FIRST_EVENT_TIMEOUT, "silent"), elsewhere=True)
REFUSED = TargetFailure(ErrorBody(ErrorCode.UPSTREAM_REFUSED, "no"), elsewhere=False)
KEYLESS = TargetFailure(ErrorBody(ErrorCode.TARGET_UNAVAILABLE, "no key"), elsewhere=True)


def targets(count: int) -> list[Target]:
    return [target(f"m{number}", provider=f"p{number}") for number in range(count)]


def failover(
    count: int = 2, *, strategy: Strategy = "ordered", lot: float = 0.5, latencies: Sequence[float | None] = ()
) -> Failover:
    made = targets(count)
    known = {one.model: latency for one, latency in zip(made, latencies, strict=False)}
    return Failover(made, strategy=strategy, policy=POLICY, lot=lambda: lot, latency_s=lambda one: known.get(one.model))


def ready(count: int = 2) -> list[Standing]:
    return [READY] * count


def test_targets_come_in_the_listed_order() -> None:
    choice = failover(3)
    seen: list[int] = []
    while isinstance(decision := choice.next(now=NOW, deadline=LATER, standings=ready(3)), Try):
        seen.append(decision.position)
        choice.failed(decision.position, FINAL, now=NOW)

    assert seen == [0, 1, 2]
    assert isinstance(decision, GiveUp)


def test_a_refused_request_ends_the_search() -> None:
    choice = failover()
    choice.failed(0, REFUSED, now=NOW)

    assert choice.next(now=NOW, deadline=LATER, standings=ready()) == GiveUp(REFUSED.error)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("ready", Try(0, claim=False)),
        ("half_open", Try(0, claim=True)),
        ("cooling", Try(1, claim=False)),
        ("probing", Try(1, claim=False)),
        ("probation", Try(1, claim=False)),
    ],
)
def test_the_state_of_the_first_target_decides_whether_it_is_tried(state: TargetState, expected: Try) -> None:
    standing = Standing(state, NOW + 5)

    assert failover().next(now=NOW, deadline=LATER, standings=[standing, READY]) == expected


def test_a_target_on_probation_is_better_than_a_wait() -> None:
    standings = [Standing("cooling", NOW + 1), Standing("probation", NOW + 30)]

    assert failover().next(now=NOW, deadline=LATER, standings=standings) == Try(1, claim=False)


def test_without_a_ready_target_the_first_cool_down_to_end_is_waited_for() -> None:
    standings = [Standing("cooling", NOW + 9), Standing("probing", NOW + 4)]

    assert failover().next(now=NOW, deadline=LATER, standings=standings) == Wait(4.0)


@pytest.mark.parametrize("deadline", [NOW + 3, NOW + 4])
def test_no_wait_goes_past_the_deadline(deadline: float) -> None:
    standings = [Standing("cooling", NOW + 4)] * 2
    decision = failover().next(now=NOW, deadline=deadline, standings=standings)

    assert isinstance(decision, GiveUp)
    assert decision.error.code == ErrorCode.TARGET_UNAVAILABLE
    assert "p0 is cooling down after failures, for 4 s more" in decision.error.message
    assert decision.error.retry_after_s == 4


def test_patience_ends_whatever_the_deadline() -> None:
    choice = failover(1)
    standings = [Standing("cooling", NOW + 59)]
    assert choice.next(now=NOW, deadline=LATER, standings=standings) == Wait(59.0)

    longer = [Standing("cooling", NOW + 61)]
    assert isinstance(choice.next(now=NOW + 59, deadline=LATER, standings=longer), GiveUp)


def test_the_only_target_is_tried_again_after_growing_pauses_that_are_jittered() -> None:
    choice = failover(1, lot=0.5)
    now, pauses = NOW, list[float]()
    for _ in range(2):
        assert choice.next(now=now, deadline=LATER, standings=[READY]) == Try(0, claim=False)
        choice.failed(0, PASSING, now=now)
        wait = choice.next(now=now, deadline=LATER, standings=[READY])
        assert isinstance(wait, Wait)
        pauses.append(wait.seconds)
        now += wait.seconds
    choice.failed(0, PASSING, now=now)

    assert pauses == pytest.approx([0.5, 1.0])
    assert choice.next(now=now, deadline=LATER, standings=[READY]) == GiveUp(PASSING.error)


def test_a_named_time_is_kept_to_the_second() -> None:
    choice = failover(1)
    choice.failed(0, PASSING._replace(retry_after_s=7.0), now=NOW)

    assert choice.next(now=NOW, deadline=LATER, standings=[READY]) == Wait(7.0)
    assert choice.next(now=NOW + 7, deadline=LATER, standings=[READY]) == Try(0, claim=False)
    assert isinstance(choice.next(now=NOW, deadline=NOW + 7, standings=[READY]), GiveUp)


def test_a_target_that_failed_and_cooled_down_is_claimed_when_it_is_tried_again() -> None:
    choice = failover(1)
    choice.failed(0, PASSING._replace(retry_after_s=1.0), now=NOW)

    assert choice.next(now=NOW + 2, deadline=LATER, standings=[Standing("half_open", 0)]) == Try(0, claim=True)


def test_the_error_of_a_call_that_was_made_outranks_those_that_were_not() -> None:
    choice = failover(3)
    choice.failed(0, KEYLESS, now=NOW)
    choice.failed(1, FINAL, now=NOW)
    choice.failed(2, KEYLESS, now=NOW)
    decision = choice.next(now=NOW, deadline=LATER, standings=ready(3))

    assert decision == GiveUp(ErrorBody(ErrorCode.FIRST_EVENT_TIMEOUT, "p0: no key; p1: silent; p2: no key"))


def test_the_soonest_first_event_leads_and_the_unknown_before_it() -> None:
    choice = failover(3, strategy="least_latency", latencies=[0.3, 0.1, None])

    assert [one.model for one in choice.untried()] == ["m2", "m1", "m0"]


def test_lots_fall_by_weight() -> None:
    weighted = [target("a", weight=3.0), target("b", weight=1.0)]
    lot = random.Random(7).random
    leaders = Counter(
        Failover(weighted, strategy="weighted", policy=POLICY, lot=lot, latency_s=lambda _: None).untried()[0].model
        for _ in range(20_000)
    )

    assert leaders["a"] / 20_000 == pytest.approx(0.75, abs=0.02)


FAILURES = st.sampled_from([PASSING, FINAL, KEYLESS, PASSING._replace(retry_after_s=2.0)])
STATES = st.sampled_from(["ready", "half_open", "cooling", "probing", "probation"])


@given(
    count=st.integers(1, 5),
    strategy=st.sampled_from(["ordered", "weighted", "least_latency"]),
    lot=st.floats(0, 1, exclude_max=True),
    failures=st.lists(FAILURES, min_size=60, max_size=60),
    states=st.lists(st.tuples(STATES, st.floats(0.1, 20)), min_size=60, max_size=60),
    patience_s=st.floats(0.1, 30),
)
def test_every_search_ends_in_time_and_tries_no_target_too_often(
    count: int,
    strategy: Strategy,
    lot: float,
    failures: list[TargetFailure],
    states: list[tuple[TargetState, float]],
    patience_s: float,
) -> None:
    choice = failover(count, strategy=strategy, lot=lot)
    now, deadline = NOW, NOW + patience_s
    tries: Counter[int] = Counter()
    state, failure = itertools.cycle(states), itertools.cycle(failures)
    for _ in range(POLICY.tries * count * 40):
        standings = [Standing(kind, now + wait) for kind, wait in itertools.islice(state, count)]
        decision = choice.next(now=now, deadline=deadline, standings=standings)
        match decision:
            case Try(position, claim):
                assert standings[position].state not in ("cooling", "probing")
                assert claim == (standings[position].state == "half_open")
                tries[position] += 1
                choice.failed(position, next(failure), now=now)
            case Wait(seconds):
                assert seconds > 0
                now += seconds
                assert now < deadline
            case GiveUp(error):
                assert error.message
                break
    else:
        raise AssertionError("it went on for ever")
    assert max(tries.values(), default=0) <= POLICY.tries
