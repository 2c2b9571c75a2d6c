"""The life of a cool-down, transition by transition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.conftest import target
from tokenbus_executor.failover import CoolingPolicy, Latencies, after_failure, claimed, released, renewed, shown_life
from tokenbus_executor.failover.cooling import ended_well
from tokenbus_executor.failover.latencies import FORGET_S
from tokenbus_executor.failover.rules import RULES
from tokenbus_schemas import CoolDown, ErrorCode, cooldown_key
from tokenbus_translate import UpstreamFailure, failure, reported_failure

NOW = 1_000.0
POLICY = CoolingPolicy(failures=3, first_s=10.0, most_s=120.0)
BROKE = failure(ErrorCode.UPSTREAM_CUT, "cut")
LIMITED = reported_failure(None, status=429, retry_after_s=7.0)
QUOTA = reported_failure({"error": {"code": "insufficient_quota"}}, status=429)


def failed(entry: CoolDown | None, cause: UpstreamFailure = BROKE, *, now: float = NOW) -> CoolDown:
    after = after_failure(entry, target=target(), failure=cause, now=now, policy=POLICY)
    assert after is not None
    return after


def cooled(*, now: float = NOW) -> CoolDown:
    return failed(failed(failed(None, now=now), now=now), now=now)


def test_failures_are_counted_and_the_third_cools_down() -> None:
    one = failed(None)
    two = failed(one)
    three = failed(two)

    assert [entry.standing(now=NOW).state for entry in (one, two, three)] == ["ready", "ready", "cooling"]
    assert three.until == NOW + 10


def test_each_further_cool_down_lasts_twice_as_long_up_to_the_longest() -> None:
    entry, now, lengths = cooled(), NOW, list[float]()
    for _ in range(5):
        now = entry.until
        entry = failed(entry, now=now)
        lengths.append(entry.until - now)

    assert lengths == [20, 40, 80, 120, 120]


def test_a_named_time_counts_even_where_it_is_longer() -> None:
    named = reported_failure(None, status=429, retry_after_s=600)

    assert failed(None, named).until == NOW + 600


def test_a_server_that_names_a_time_is_left_alone_for_it_at_once() -> None:
    overloaded = reported_failure(None, status=503, retry_after_s=20)
    entry = failed(None, overloaded)

    assert entry.until == NOW + 20
    assert failed(None, reported_failure(None, status=503)).until == 0


def test_failures_while_it_cools_down_do_not_lengthen_it() -> None:
    entry = cooled()

    assert failed(entry, now=NOW + 5).until == entry.until
    assert failed(entry, LIMITED, now=NOW + 5).until == NOW + 12


def test_a_rate_limit_without_a_time_is_soon_over_and_an_empty_purse_is_not() -> None:
    assert failed(None, reported_failure(None, status=429)).until == NOW + 1
    assert failed(None, QUOTA).until == NOW + 10


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - set(RULES)))
def test_what_is_not_the_targets_fault_leaves_no_trace(code: ErrorCode) -> None:
    cause = UpstreamFailure(code, "x", retry_elsewhere=False)

    assert after_failure(None, target=target(), failure=cause, now=NOW, policy=POLICY) is None


def test_one_request_claims_a_target_that_has_cooled_down() -> None:
    entry = cooled()
    assert claimed(entry, probe="a", now=NOW + 9, lease_s=5) is None

    probing = claimed(entry, probe="a", now=NOW + 10, lease_s=5)
    assert probing is not None
    assert probing.standing(now=NOW + 10).state == "probing"
    assert claimed(probing, probe="b", now=NOW + 14, lease_s=5) is None
    assert claimed(probing, probe="b", now=NOW + 15, lease_s=5) is not None
    going_on = renewed(probing, probe="a", now=NOW + 14, lease_s=5)
    assert going_on is not None
    assert claimed(going_on, probe="b", now=NOW + 18, lease_s=5) is None
    assert renewed(probing, probe="b", now=NOW + 14, lease_s=5) is None


def test_its_first_event_puts_the_target_on_probation() -> None:
    probing = claimed(cooled(), probe="a", now=NOW + 10, lease_s=5)
    assert probing is not None
    alive = shown_life(probing, probe="a", now=NOW, lease_s=300)
    assert alive is not None

    assert alive.standing(now=NOW + 200).state == "probation"
    assert shown_life(probing, probe="b", now=NOW, lease_s=300) is None
    assert not ended_well(alive, probe=None, now=NOW + 20)
    assert not ended_well(alive, probe="b", now=NOW + 20)
    assert ended_well(alive, probe="a", now=NOW + 20)
    assert failed(alive, now=NOW + 20).until == NOW + 40


def test_a_trial_without_a_verdict_leaves_the_target_half_open() -> None:
    probing = claimed(cooled(), probe="a", now=NOW + 10, lease_s=50)
    assert probing is not None
    free = released(probing, probe="a")
    assert free is not None

    assert free.standing(now=NOW + 11).state == "half_open"
    assert released(probing, probe="b") is None


def test_an_answer_ends_the_count_but_no_cool_down() -> None:
    assert ended_well(failed(None), probe=None, now=NOW)
    assert not ended_well(cooled(), probe=None, now=NOW)


@given(model=st.text(min_size=1, max_size=40), other=st.text(min_size=1, max_size=40))
def test_keys_of_different_models_differ_and_are_keys(model: str, other: str) -> None:
    first, second = (cooldown_key("p", api="responses", model=name) for name in (model, other))

    assert (first == second) == (model == other)
    assert all(part and set(part) <= KEY_CHARACTERS for part in first.split("."))


KEY_CHARACTERS = set("-/_=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def test_a_latency_is_a_running_mean_and_is_forgotten_in_time() -> None:
    latencies = Latencies()
    assert latencies.mean_s(target(), now=0) is None
    latencies.note(target(), seconds=1.0, now=0)
    latencies.note(target(), seconds=2.0, now=1)

    assert latencies.mean_s(target(), now=2) == pytest.approx(1.2)
    assert latencies.mean_s(target(api="chat_completions"), now=2) is None
    assert latencies.mean_s(target(), now=2 + FORGET_S) is None
