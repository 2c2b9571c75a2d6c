"""The state of a worker's pull requests: a plain class, told what happened and when, that answers what to ask next.

Rules of this file: no await, no network, no clock; `now` is any monotonic time in seconds.

- Each request asks one queue (a JetStream consumer) for one message and ends in exactly one answer: a message or a
  status. Running messages plus open requests never exceed the slots.
- A message does not say which request it answers. The server serves a queue's requests in their order, so it closes the
  oldest one. A status does say; if that one is closed already, the oldest takes its place, and the count stays right.
- A request that should have been answered, or heard from, is *lost* (a new leader, a lost stream) and is asked again.
  Should it be answered after all, there may be no slot for the message: then the worker must hand it back.
- While messages are known to wait elsewhere and slots are short, a request is only a probe and ends almost at once.
  Otherwise it waits the longer, the more slots there are to spare.

Source of the statuses: nats-server 2.15.1, `server/consumer.go`; nats-io/nats-architecture-and-design ADR-13, ADR-37.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from tokenbus_chassis.allocation import Queue, allocate

_HEARTBEAT: Final = 100
_NOTHING_THERE: Final = frozenset({404, 408})
_NO_RESPONDERS: Final = 503
_CONFLICT: Final = 409

_DEPTH_MAX: Final = 4
_ROOMY: Final = 4
"""With this many slots per queue, all queues together hold at most a quarter of them open."""

Verdict = Literal["fine", "missing", "refused"]
"""`missing`: the consumer does not exist, or has no leader. `refused`: the server did not like the request just now."""


@dataclass(frozen=True, slots=True)
class PullTimes:
    """How long requests wait at the server, and we for it, in seconds."""

    roomy_s: float = 10.0
    """Open time of a request with slots to spare."""
    heartbeat_s: float = 2.5
    """Rhythm in which the server says that such a request is still open; twice this without a word and it is lost."""
    tight_s: float = 1.0
    """Open time when all queues are served but few slots are left over."""
    scarce_s: float = 0.02
    """Open time per idle slot when queues take turns, so that 50 requests a second are made, however many the slots.
    A message waits for its queue's turn for at most about twice this per queue."""
    probe_s: float = 0.002
    """Open time while messages are known to wait elsewhere. (`no_wait` would be shorter, but such a request stays open
    without end at a consumer that has reached its `max_ack_pending`.)"""
    rest_s: float = 0.02
    """How long a queue that was found empty is left alone while others have messages waiting."""
    trouble_s: float = 0.25
    """How long a queue is left alone after the server refused a request."""
    grace_s: float = 1.0
    """How late an answer may be before its request counts as lost."""


class Pull(NamedTuple):
    """One request to send. `wait_s`: how long it is open. `heartbeat_s` 0: the server need not say that it is."""

    queue: int
    number: int
    wait_s: float
    heartbeat_s: float


@dataclass(slots=True)
class _QueueState:
    open: dict[int, float] = field(default_factory=dict[int, float])
    """When each open request counts as lost; in the order in which they were sent."""
    waiting: int = 0
    rests_until: float = float("-inf")


class PullBook:
    """What was asked of which queue. Queues are numbered, in order of priority."""

    def __init__(self, *, queues: int, slots: int, times: PullTimes | None = None) -> None:
        if queues < 1 or slots < 1:
            raise ValueError(f"slots: {slots} slots for {queues} queues; both must be at least 1")
        self._queues = [_QueueState() for _ in range(queues)]
        self._times = times or PullTimes()
        self._slots = slots
        self._depth = max(1, min(_DEPTH_MAX, slots // (_ROOMY * queues)))
        self._numbers = 0
        self._turn = 0
        self.running = 0
        """Messages in hand."""

    @property
    def asked(self) -> int:
        """Open requests."""
        return sum(len(queue.open) for queue in self._queues)

    def plan(self, now: float) -> list[Pull]:
        """The requests to send now; from here on they count as open."""
        free = self._slots - self.running - self.asked
        if free <= 0:
            return []
        seen = [Queue(len(queue.open), queue.waiting, queue.rests_until > now) for queue in self._queues]
        scarce = free < sum(not queue.asked and not queue.resting for queue in seen)
        asks = allocate(free, seen, turn=self._turn, depth=self._depth)
        self._turn += scarce
        unserved = [max(0, queue.waiting - queue.asked - more) for queue, more in zip(seen, asks, strict=True)]
        return [
            self._open(index, now, wait_s=self._wait_s(scarce=scarce, probe=sum(unserved) > unserved[index]))
            for index, more in enumerate(asks)
            for _ in range(more)
        ]

    def delivered(self, queue: int, *, waiting: int) -> bool:
        """A message came, with `waiting` more behind it; whether there is a slot for it."""
        state = self._queues[queue]
        state.waiting = waiting
        _close(state, None)
        if self.running + self.asked >= self._slots:
            return False
        self.running += 1
        return True

    def finished(self) -> None:
        """A message left its slot."""
        self.running -= 1

    def answered(self, queue: int, number: int, now: float, *, status: int, description: str) -> Verdict:
        """A status came for request `number`."""
        state, times = self._queues[queue], self._times
        if status == _HEARTBEAT:
            if number in state.open:
                state.open[number] = now + 2 * times.heartbeat_s
            return "fine"
        _close(state, number)
        state.waiting = 0
        if status in _NOTHING_THERE:
            if any(other.waiting for other in self._queues):
                state.rests_until = now + times.rest_s
            return "fine"
        state.rests_until = now + times.trouble_s
        gone = status == _NO_RESPONDERS or (status == _CONFLICT and description == "Consumer Deleted")
        return "missing" if gone else "refused"

    def expire(self, now: float) -> int:
        """Closes what is lost; how many that was."""
        lost = 0
        for state in self._queues:
            for number in [number for number, due in state.open.items() if due <= now]:
                del state.open[number]
                lost += 1
        return lost

    def reset(self) -> None:
        """Whatever was asked will not be answered any more: the connection is another one."""
        for state in self._queues:
            state.open.clear()
            state.rests_until = float("-inf")

    def next_due(self, now: float) -> float:
        """When to call `expire` and `plan` again, if nothing happens before."""
        dues = [due for state in self._queues for due in state.open.values()]
        if self.running + self.asked < self._slots:
            dues += [state.rests_until for state in self._queues if state.rests_until > now]
        return min(dues, default=now + self._times.roomy_s)

    def _wait_s(self, *, scarce: bool, probe: bool) -> float:
        if probe:
            return self._times.probe_s
        if scarce:
            return self._times.scarce_s * (self._slots - self.running)
        return self._times.roomy_s if self._slots >= _ROOMY * len(self._queues) else self._times.tight_s

    def _open(self, queue: int, now: float, *, wait_s: float) -> Pull:
        self._numbers += 1
        times = self._times
        beats = wait_s >= 2 * times.heartbeat_s
        lost_after_s = 2 * times.heartbeat_s if beats else wait_s + times.grace_s
        self._queues[queue].open[self._numbers] = now + lost_after_s
        return Pull(queue, self._numbers, wait_s, times.heartbeat_s if beats else 0.0)


def _close(state: _QueueState, number: int | None) -> None:
    if number is None or number not in state.open:
        number = next(iter(state.open), None)
    if number is not None:
        del state.open[number]
