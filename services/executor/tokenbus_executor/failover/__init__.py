"""Which target answers a request, and what its failures mean for the next ones. Pure: time and chance are arguments."""

from tokenbus_executor.failover.choosing import Decision, Failover, FailoverPolicy, GiveUp, Try, Wait
from tokenbus_executor.failover.cooling import CoolingPolicy, after_failure, claimed, released, renewed, shown_life
from tokenbus_executor.failover.latencies import Latencies
from tokenbus_executor.failover.rules import TargetFailure, rule_of

__all__ = [
    "CoolingPolicy",
    "Decision",
    "Failover",
    "FailoverPolicy",
    "GiveUp",
    "Latencies",
    "TargetFailure",
    "Try",
    "Wait",
    "after_failure",
    "claimed",
    "released",
    "renewed",
    "rule_of",
    "shown_life",
]
