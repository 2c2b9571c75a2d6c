"""Which target a request tries next. Pure.

1. The strategy gives the order, once: as listed; by lot, weighted; or the soonest first event first, with unknown
   targets before all others.
2. In that order, the first target that was not tried and is ready. One that has cooled down is ready for one request,
   which must claim it; whoever loses the claim comes back here.
3. Else one on probation.
4. Else wait for whichever comes first: the end of a cool-down, or the time after which a target that failed in passing
   may be tried again. Never past the deadline, nor longer than is sensible.
5. Else give up, and tell the failure that says most.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenbus_executor.failover.rules import TargetFailure
from tokenbus_schemas import ErrorBody, ErrorCode, Standing, Target
from tokenbus_schemas.work import Strategy

_NOT_CALLED: Final = frozenset({ErrorCode.TARGET_UNAVAILABLE, ErrorCode.OVERLOADED})


@dataclass(frozen=True, slots=True)
class FailoverPolicy:
    """How hard one request tries."""

    tries: int = 3
    """Calls of the same target: as many as the openai SDK makes."""
    pause_s: float = 0.5
    """Before the second one, where the provider names no time; doubled before each further one, and jittered."""
    patience_s: float = 60.0
    """How long a request waits for targets in all: its slot could serve others."""


class Try(NamedTuple):
    """Call the target at this position. `claim`: only if it can be claimed."""

    position: int
    claim: bool


class Wait(NamedTuple):
    """Look again after so many seconds, or when a target's state has changed."""

    seconds: float


class GiveUp(NamedTuple):
    """No target is left."""

    error: ErrorBody


Decision = Try | Wait | GiveUp


class _Tried:
    def __init__(self) -> None:
        self.failures: list[TargetFailure] = []
        self.not_before = 0.0


class Failover:
    """The targets of one request, and how they did."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        strategy: Strategy,
        policy: FailoverPolicy,
        lot: Callable[[], float],
        latency_s: Callable[[Target], float | None],
    ) -> None:
        """`lot`: a number from 0 to under 1, each time another. `latency_s`: to a target's first event, where known."""
        self._targets = targets
        self._policy = policy
        self._lot = lot
        self._order = _ordered(targets, strategy=strategy, lot=lot, latency_s=latency_s)
        self._tried = [_Tried() for _ in targets]
        self._failed_in_order: list[tuple[int, TargetFailure]] = []
        self._patience_ends: float | None = None

    @property
    def failures(self) -> list[tuple[Target, TargetFailure]]:
        """What has failed so far, in order."""
        return [(self._targets[index], failure) for index, failure in self._failed_in_order]

    def untried(self) -> list[Target]:
        """The targets that no call was made to, in the order in which they would be tried."""
        return [self._targets[index] for index in self._order if not self._tried[index].failures]

    def failed(self, index: int, failure: TargetFailure, *, now: float) -> None:
        """A target did not answer. `now`: Unix seconds."""
        tried = self._tried[index]
        pause_s = self._policy.pause_s * 2 ** len(tried.failures) * (0.5 + self._lot())
        tried.failures.append(failure)
        tried.not_before = now + (pause_s if failure.retry_after_s is None else failure.retry_after_s)
        self._failed_in_order.append((index, failure))

    def next(self, *, now: float, deadline: float, standings: Sequence[Standing]) -> Decision:
        """What to do now. `standings`: of all targets, in the listed order. Times: Unix seconds."""
        for _, failure in self._failed_in_order:
            if not failure.elsewhere:
                return GiveUp(failure.error)
        untried = [index for index in self._order if not self._tried[index].failures]
        for index in untried:
            state = standings[index].state
            if state in ("ready", "half_open"):
                return Try(index, claim=state == "half_open")
        for index in untried:
            if standings[index].state == "probation":
                return Try(index, claim=False)
        return self._again(untried, now=now, deadline=deadline, standings=standings)

    def _again(self, untried: Sequence[int], *, now: float, deadline: float, standings: Sequence[Standing]) -> Decision:
        again = [index for index in self._order if self._may_try_again(index)]
        times = {index: standings[index].until for index in untried}
        times |= {index: max(self._tried[index].not_before, _shut_until(standings[index])) for index in again}
        if not times:
            return GiveUp(self._error(standings, now=now))
        first = min(times, key=times.__getitem__)
        if times[first] <= now:
            return Try(first, claim=standings[first].state == "half_open")
        if self._patience_ends is None:
            self._patience_ends = now + self._policy.patience_s
        if times[first] >= min(deadline, self._patience_ends):
            return GiveUp(self._error(standings, now=now))
        return Wait(times[first] - now)

    def _may_try_again(self, index: int) -> bool:
        failures = self._tried[index].failures
        return 0 < len(failures) < self._policy.tries and failures[-1].again

    def _error(self, standings: Sequence[Standing], *, now: float) -> ErrorBody:
        said = {index: failure.error for index, failure in self._failed_in_order}
        for index in self._order:
            if index not in said:
                wait_s = max(0.0, standings[index].until - now)
                said[index] = ErrorBody(
                    ErrorCode.TARGET_UNAVAILABLE,
                    f"provider {self._targets[index].provider} is cooling down after failures, for {wait_s:.0f} s more",
                    retry_after_s=wait_s,
                )
        # The newest failure of a call that was made says most; a call that was not made says least.
        newest = sorted(said.values(), key=lambda error: error.code not in _NOT_CALLED)[-1]
        if len(said) == 1:
            return newest
        parts = [f"{self._targets[index].provider}: {error.message}" for index, error in said.items()]
        advice_s = [error.retry_after_s for error in said.values() if error.retry_after_s is not None]
        return ErrorBody(newest.code, "; ".join(parts), newest.param, min(advice_s, default=None))


def _shut_until(standing: Standing) -> float:
    return standing.until if standing.state in ("cooling", "probing") else 0.0


def _ordered(
    targets: Sequence[Target],
    *,
    strategy: Strategy,
    lot: Callable[[], float],
    latency_s: Callable[[Target], float | None],
) -> list[int]:
    indexes = range(len(targets))
    match strategy:
        case "ordered":
            return list(indexes)
        case "weighted":
            # Of exponentially distributed times, each target's is the first as often as its weight says.
            draws = [-math.log(1 - lot()) / target.weight for target in targets]
            return sorted(indexes, key=draws.__getitem__)
        case "least_latency":
            return sorted(indexes, key=lambda index: latency_s(targets[index]) or 0.0)
