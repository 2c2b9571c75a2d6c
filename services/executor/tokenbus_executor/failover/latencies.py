"""How soon targets have shown their first event, as this executor saw it: for the strategy `least_latency`."""

from typing import Final, NamedTuple

from tokenbus_schemas import Api, Target

WEIGHT: Final = 0.2
"""Of the newest measurement in the running mean."""
FORGET_S: Final = 300.0
"""A target that was not called for so long is unknown again, and so gets its chance."""
_MOST: Final = 10_000

_Key = tuple[str, str, Api]


class _Seen(NamedTuple):
    mean_s: float
    at: float


class Latencies:
    """A running mean for each target."""

    def __init__(self) -> None:
        self._seen: dict[_Key, _Seen] = {}

    def note(self, target: Target, *, seconds: float, now: float) -> None:
        """A first event came after so many seconds. `now`: any clock, always the same."""
        before = self.mean_s(target, now=now)
        mean_s = seconds if before is None else before + WEIGHT * (seconds - before)
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[_key(target)] = _Seen(mean_s, now)

    def mean_s(self, target: Target, *, now: float) -> float | None:
        """None: not known."""
        seen = self._seen.get(_key(target))
        return None if seen is None or now - seen.at > FORGET_S else seen.mean_s


def _key(target: Target) -> _Key:
    return target.provider, target.model, target.api
