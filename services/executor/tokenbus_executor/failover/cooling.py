"""The life of a target's cool-down. Pure; `cooldowns.py` keeps the entries where all executors see them.

    works         failures in a row, or one that says enough → it cools down
    cools down    its time is over → half open
    half open     one request claims it → probing
    probing       that request sees its first event → on probation
    either        that request ends well → works; it fails, at whatever point → cools down, for longer

Failures of requests that began before do not lengthen a cool-down, and their successes do not end one: they say nothing
about how the target is now.
"""

from dataclasses import dataclass
from typing import Final

from tokenbus_executor.failover.rules import rule_of
from tokenbus_schemas import CoolDown, Target
from tokenbus_translate import UpstreamFailure

LONGEST_S: Final = 3600.0
"""However long a provider asks us to stay away."""


@dataclass(frozen=True, slots=True)
class CoolingPolicy:
    """When targets cool down, and for how long."""

    failures: int = 3
    """So many requests in a row must fail."""
    first_s: float = 10.0
    """The first cool-down; each further one in a row lasts twice as long."""
    most_s: float = 120.0
    """But no longer than this, unless the provider says so."""
    lease_s: float = 15.0
    """How long the request that tries a target is believed to be under way, unless its executor says so again: one that
    dies leaves the target to the next request after this time, however long the model may think."""

    def seconds(self, *, opened: int, passing: bool) -> float:
        """Of the cool-down after `opened` others in a row. `passing`: a rate limit that names no time is soon over."""
        return min((self.first_s / 10 if passing else self.first_s) * 2**opened, self.most_s)


def after_failure(
    entry: CoolDown | None, *, target: Target, failure: UpstreamFailure, now: float, policy: CoolingPolicy
) -> CoolDown | None:
    """The entry after one request's failure; None where it means nothing for the target. `now`: Unix seconds."""
    rule = rule_of(failure)
    if rule.cools == "never":
        return None
    state = "ready" if entry is None else entry.standing(now=now).state
    failures = 1 if entry is None else entry.failures + 1
    opened = 0 if entry is None else entry.opened
    until = 0.0 if entry is None else entry.until
    asked_s = min(failure.retry_after_s or 0.0, LONGEST_S)
    if state == "cooling":
        until = max(until, now + asked_s)
    elif rule.cools == "at once" or asked_s > 0 or failures >= policy.failures or state != "ready":
        limited = rule.cools == "at once" and rule.again
        until = now + (asked_s or policy.seconds(opened=opened, passing=limited))
        opened += 1
    return CoolDown(
        provider=target.provider,
        model=target.model,
        api=target.api,
        code=failure.code,
        failures=failures,
        opened=opened,
        failed_at=now,
        until=until,
    )


def claimed(entry: CoolDown, *, probe: str, now: float, lease_s: float) -> CoolDown | None:
    """The entry with the one request that tries the target; None where it is not open to one now."""
    if entry.standing(now=now).state != "half_open":
        return None
    return entry.model_copy(update={"probe": probe, "probe_until": now + lease_s, "shows_life": False})


def renewed(entry: CoolDown, *, probe: str, now: float, lease_s: float) -> CoolDown | None:
    """The entry while that request is under way; None where it has ended, or lost its claim."""
    if entry.probe != probe:
        return None
    return entry.model_copy(update={"probe_until": now + lease_s})


def shown_life(entry: CoolDown, *, probe: str, now: float, lease_s: float) -> CoolDown | None:
    """The entry once that request has seen its first event. None where it lost its claim."""
    if entry.probe != probe:
        return None
    return entry.model_copy(update={"probe_until": now + lease_s, "shows_life": True})


def released(entry: CoolDown, *, probe: str) -> CoolDown | None:
    """The entry after that request ended without a verdict, as a cancelled one does."""
    if entry.probe != probe:
        return None
    return entry.model_copy(update={"probe": None, "probe_until": 0.0, "shows_life": False})


def ended_well(entry: CoolDown, *, probe: str | None, now: float) -> bool:
    """Whether the entry goes when a request ends well: `probe` names it if it tried the target."""
    if entry.until > 0:
        return probe is not None and entry.probe == probe
    return entry.standing(now=now).state == "ready"
