"""Whether the server we are connected to has lost its JetStream, and it is time to try another one. Pure.

A client attached to a node that lost its cluster never moves by itself: the connection is up, the node answers pings.
Nor is every answer of JetStream a sign of health. Seen on nats-server 2.15.1, on a node cut off from the two others:
`STREAM.INFO` is answered as if nothing had happened, for good; `INFO` for 15 s, then it is "temporarily unavailable"
(10008); a publish finds no stream, or is never acknowledged. So only these count as health: a message that was stored,
and a service that answers.

Rules:

1. `after` failures in a row, over `for_s` seconds or more, without a sign of health between them: move. An election
   alone takes 4 to 6 s; moving for it would only cut live subscriptions.
2. Failures further apart than `FORGET_S` are no row.
3. A move that helps nothing makes the next one wait longer: maybe no server has what we ask for.
"""

from typing import Final

FORGET_S: Final = 30.0
PAUSE_S: Final = 10.0
"""A new server gets this long to prove itself."""
LONGEST_PAUSE_S: Final = 300.0


class StallWatch:
    """Told what happened, in seconds of any monotonic clock."""

    def __init__(self, *, after: int, for_s: float) -> None:
        self._after = after
        self._for_s = for_s
        self._failures = 0
        self._first_s = self._last_s = 0.0
        self._pause_s = PAUSE_S
        self._not_before_s = float("-inf")

    def healthy(self) -> None:
        """JetStream did what needs its quorum."""
        self._failures = 0
        self._pause_s = PAUSE_S

    def reconnected(self) -> None:
        """Whatever failed, failed elsewhere."""
        self._failures = 0

    def failed(self, now: float) -> bool:
        """JetStream did not answer, or said that it can not; whether to move."""
        if not self._failures or now > self._last_s + FORGET_S:
            self._failures, self._first_s = 0, now
        self._failures += 1
        self._last_s = now
        return self._failures >= self._after and now >= max(self._first_s + self._for_s, self._not_before_s)

    def moved(self, now: float) -> None:
        """We left for another server."""
        self._failures = 0
        self._not_before_s = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def stalled_s(self, now: float) -> float:
        """How long it has failed."""
        return now - self._first_s if self._failures else 0.0
