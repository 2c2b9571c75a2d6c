"""When a request that nobody knows any more is sent again, and when it is reported as lost."""

from tokenbus.loss import RESUBMISSIONS, LossWatch


def watch(*, may_resubmit: bool = True) -> LossWatch:
    return LossWatch(reconnects=1, may_resubmit=may_resubmit, lost_s=3.0, abandoned_s=30.0)


def test_without_a_reconnect_an_unknown_request_is_waited_for() -> None:
    loss = watch()
    assert {loss.unknown(float(now), reconnects=1, begun=False) for now in range(100)} == {"wait"}


def test_after_a_reconnect_it_is_sent_again_when_it_stays_unknown() -> None:
    loss = watch()
    assert [loss.unknown(now, reconnects=2, begun=False) for now in (10.0, 12.9, 13.0)] == ["wait", "wait", "resubmit"]


def test_one_that_becomes_known_in_between_is_not() -> None:
    loss = watch()
    assert loss.unknown(10.0, reconnects=2, begun=False) == "wait"
    loss.known()
    assert loss.unknown(13.0, reconnects=2, begun=False) == "wait"


def test_one_with_tools_is_lost() -> None:
    loss = watch(may_resubmit=False)
    assert [loss.unknown(now, reconnects=2, begun=False) for now in (0.0, 3.0)] == ["wait", "lost"]


def test_one_whose_answer_had_begun_is_lost_after_a_longer_while() -> None:
    loss = watch()
    assert [loss.unknown(now, reconnects=2, begun=True) for now in (0.0, 29.9, 30.0)] == ["wait", "wait", "lost"]


def test_each_resubmission_needs_a_reconnect_of_its_own_and_there_is_a_last_one() -> None:
    loss, now = watch(), 0.0
    for number in range(RESUBMISSIONS):
        assert loss.unknown(now, reconnects=2 + number, begun=False) == "wait"
        assert loss.unknown(now + 3.0, reconnects=2 + number, begun=False) == "resubmit"
        loss.resubmitted(reconnects=2 + number)
        assert loss.unknown(now + 90.0, reconnects=2 + number, begun=False) == "wait"
        now += 100.0
    assert loss.unknown(now, reconnects=9, begun=False) == "wait"
    assert loss.unknown(now + 3.0, reconnects=9, begun=False) == "lost"
