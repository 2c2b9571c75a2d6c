"""What to do about an accepted request of which the services know nothing: it was lost with NATS's store. Pure.

Only after a reconnect: before it, `unknown` means that the router has not got to it. And only when `unknown` is said
for a while: after a restart the services make their streams anew, and an executor that still runs the request shows it
with its next event.

- Nothing of the answer had come, and the request has no tools: it is sent again, under its own id. Should the first one
  live after all, the second counts as its later attempt and stops it (`Tokenbus-Resubmission`).
- Anything else might take effect, or show text, twice: it is reported as lost. So is one that is lost again and again.
"""

from typing import Final, Literal

RESUBMISSIONS: Final = 3
"""How often one request is sent again at most."""

Verdict = Literal["wait", "resubmit", "lost"]


class LossWatch:
    """Of one request. Times are seconds of any monotonic clock."""

    def __init__(self, *, reconnects: int, may_resubmit: bool, lost_s: float, abandoned_s: float) -> None:
        """`reconnects`: of the bus, when the request was accepted. The times: see `ReadingTimes`."""
        self._reconnects = reconnects
        self._may_resubmit = may_resubmit
        self._lost_s = lost_s
        self._abandoned_s = abandoned_s
        self._unknown_since: float | None = None
        self.resubmissions = 0

    def known(self) -> None:
        """A service knows the request, or an event of it has come."""
        self._unknown_since = None

    def unknown(self, now: float, *, reconnects: int, begun: bool) -> Verdict:
        """The replay service says that there is no trace of it. `begun`: something of the answer had come."""
        if reconnects == self._reconnects:
            return "wait"
        if self._unknown_since is None:
            self._unknown_since = now
        if now - self._unknown_since < (self._abandoned_s if begun else self._lost_s):
            return "wait"
        if begun or not self._may_resubmit or self.resubmissions == RESUBMISSIONS:
            return "lost"
        return "resubmit"

    def resubmitted(self, *, reconnects: int) -> None:
        """It was accepted again."""
        self.resubmissions += 1
        self._reconnects = reconnects
        self._unknown_since = None
