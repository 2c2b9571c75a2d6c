"""The state of a worker's pull requests: a plain class, told what happened and when, that answers what to ask next.

Rules of this file: no await, no network, no clock; `now` is any monotonic time in seconds.

- Each request asks one queue (a JetStream consumer) for one message and ends in exactly one answer: a message or a
  status. Running messages plus open requests never exceed the slots.
- A message does not say which request it answers. The server serves a queue's requests in their order, so it closes the
  oldest one. A status does say; if that one is closed already, the oldest takes its place, and the count stays right.
- A request that should have been answered, or heard from, is *lost* (a new leader, a lost stream) and is asked again.
  Should it be answered after all, there may be no slot for the message: then the worker must hand it back.
- While messages are known to wait elsewhere and slots are short, a request is only a probe and ends almost at once.
  Otherwise it waits the longer, the more slots there are to spare. "Elsewhere" is where its slot would be of use: slots
  kept for urgent classes listen in peace while the others' queues are full.
- Queues may form *groups*, of each of which the caller says, whenever it likes, how much more it has room for. Without
  room nothing more is asked of it; with some, one request per queue and no more than that room.

Source of the statuses: nats-server 2.15.1, `server/consumer.go`; nats-io/nats-architecture-and-design ADR-13, ADR-37.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from tokenbus_chassis.allocation import Queue, Rooms, allocate

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
    rank: int
    group: str
    open: dict[int, float] = field(default_factory=dict[int, float])
    """When each open request counts as lost; in the order in which they were sent."""
    waiting: int = 0
    rests_until: float = float("-inf")
    last: int = 0
    shut: bool = False
    """Its group had no room when it was last looked at."""


class PullBook:
    """What was asked of which queue. Queues are numbered, in order of priority, each with its rank."""

    def __init__(
        self,
        *,
        ranks: Sequence[int],
        slots: Sequence[int],
        groups: Sequence[str] = (),
        times: PullTimes | None = None,
    ) -> None:
        """`ranks`: of each queue. `slots`: how many the queues of each rank and of later ones may fill together, so the
        first number is all there are. `groups`: of each queue, or of none.
        """
        if not ranks or not slots or min(slots) < 1:
            raise ValueError(f"slots: {list(slots)} slots for {len(ranks)} queues; there must be at least 1 of both")
        if list(slots) != sorted(slots, reverse=True) or not 0 <= min(ranks) <= max(ranks) < len(slots):
            raise ValueError(
                f"slots: {list(slots)} for ranks {sorted(set(ranks))}; name as many for each rank, or fewer"
            )
        self._queues = [_QueueState(*queue) for queue in zip(ranks, groups or [""] * len(ranks), strict=True)]
        self._times = times or PullTimes()
        self._slots = slots
        self._depth = max(1, min(_DEPTH_MAX, slots[0] // (_ROOMY * len(ranks))))
        self._numbers = 0
        self._turn = 0
        self._running = [0] * len(slots)

    @property
    def running(self) -> int:
        """Messages in hand."""
        return sum(self._running)

    @property
    def asked(self) -> int:
        """Open requests."""
        return sum(len(queue.open) for queue in self._queues)

    def plan(self, now: float, *, group_rooms: Mapping[str, int] | None = None) -> list[Pull]:
        """The requests to send now; from here on they count as open. `group_rooms`: of groups that have not endless."""
        rooms = self._rooms()
        if not rooms.of(0):
            return []
        seen = self._seen(now, group_rooms or {})
        asks = allocate(rooms, seen, turn=self._turn, depth=self._depth)
        deaf: list[int] = []
        unserved: list[int] = []
        for index, (queue, more) in enumerate(zip(seen, asks, strict=True)):
            if not (queue.asked or more or queue.resting):
                deaf.append(index)
            if queue.waiting > queue.asked + more:
                unserved.append(index)
        self._turn += bool(deaf)
        return [
            self._open(index, now, wait_s=self._wait_s(index, rooms=rooms, deaf=deaf, unserved=unserved))
            for index, more in enumerate(asks)
            for _ in range(more)
        ]

    def delivered(self, queue: int, *, waiting: int) -> bool:
        """A message came, with `waiting` more behind it; whether there is a slot for it."""
        state = self._queues[queue]
        state.waiting = waiting
        _close(state, None)
        if not self._rooms().of(state.rank):
            return False
        self._running[state.rank] += 1
        return True

    def finished(self, rank: int) -> None:
        """A message of this rank left its slot."""
        self._running[rank] -= 1

    def take_over(self, other: "PullBook") -> None:
        """The messages in hand are those of another book, of the same slots."""
        self._running = other._running

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
            rooms = self._rooms()
            if any(other.waiting and not other.shut and rooms.of(other.rank) for other in self._queues):
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
        if self._rooms().of(0):
            dues += [state.rests_until for state in self._queues if state.rests_until > now]
        return min(dues, default=now + self._times.roomy_s)

    def _seen(self, now: float, group_rooms: Mapping[str, int]) -> list[Queue]:
        """With no more waiting in a group than there is room for: each queue gets its turn, and the first the rest."""
        left = dict(group_rooms)
        seen: list[Queue] = []
        for state in self._queues:
            resting = state.rests_until > now
            queue = Queue(len(state.open), state.waiting, resting, state.rank, state.last)
            room = group_rooms.get(state.group)
            state.shut = room is not None and room <= 0
            if room is not None:
                waiting = min(queue.waiting, max(0, left[state.group]))
                left[state.group] -= max(waiting, queue.asked)
                queue = queue._replace(waiting=waiting, resting=resting or state.shut, sparing=True)
            seen.append(queue)
        return seen

    def _rooms(self) -> Rooms:
        used = list(self._running)
        for queue in self._queues:
            used[queue.rank] += len(queue.open)
        return Rooms([most - sum(used[rank:]) for rank, most in enumerate(self._slots)])

    def _wait_s(self, queue: int, *, rooms: Rooms, deaf: Sequence[int], unserved: Sequence[int]) -> float:
        """How long a request to `queue` is open: short where its slot would be of use to others."""
        if any(other != queue and self._would_help(other, queue, rooms=rooms) is not None for other in unserved):
            return self._times.probe_s
        idle = [idle for other in deaf if (idle := self._would_help(other, queue, rooms=rooms)) is not None]
        if idle:
            return self._times.scarce_s * min(idle)
        return self._times.roomy_s if self._slots[0] >= _ROOMY * len(self._queues) else self._times.tight_s

    def _would_help(self, other: int, queue: int, *, rooms: Rooms) -> int | None:
        """Whether a slot that `queue` gives up is one that `other` lacks; if so, how many of these are idle."""
        lacks = rooms.narrowest(self._queues[other].rank)
        if lacks is None or lacks > self._queues[queue].rank:
            return None
        return self._slots[lacks] - sum(self._running[lacks:])

    def _open(self, queue: int, now: float, *, wait_s: float) -> Pull:
        self._numbers += 1
        times = self._times
        beats = wait_s >= 2 * times.heartbeat_s
        lost_after_s = 2 * times.heartbeat_s if beats else wait_s + times.grace_s
        state = self._queues[queue]
        state.open[self._numbers] = now + lost_after_s
        state.last = self._numbers
        return Pull(queue, self._numbers, wait_s, times.heartbeat_s if beats else 0.0)


def _close(state: _QueueState, number: int | None) -> None:
    if number is None or number not in state.open:
        number = next(iter(state.open), None)
    if number is not None:
        del state.open[number]
