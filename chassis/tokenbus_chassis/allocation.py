"""Which queues a worker asks for messages with the slots it has free.

A request for one message holds one slot until it is answered. Queues are listed in order of priority. Each has a *rank*
(0: the most urgent class), and the queues of a rank and of all later ranks may fill only so many slots together: what
is left beside them is reserved for more urgent classes. The rules:

1. No more is asked for than slots are free, for each rank and those after it.
2. A queue that nothing is asked of is *deaf*: we would not learn of a message there. While slots suffice, no queue is
   deaf.
3. Where they do not, half of them go to the first deaf queues in priority and half to those that were asked longest ago
   (a single slot: in turn). So the first classes are favoured and none starves.
4. Slots left over go where messages are known to wait, in order of priority.
5. Of what is then left a part goes round all queues, up to `depth` requests each, so that a burst finds several open.
   The rest stays free for the queue where the next message shows that more are waiting.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Queue(NamedTuple):
    """What a worker knows of one queue. `asked`: unanswered requests. `waiting`: messages there at last sight.

    `resting`: ask nothing of it just now. `last`: number of the last request to it; they count up over all queues.
    `sparing`: ask no more of it than rules 2 and 4 say.
    """

    asked: int = 0
    waiting: int = 0
    resting: bool = False
    rank: int = 0
    last: int = 0
    sparing: bool = False


class Rooms:
    """Free slots by rank: of each, how many more its queues and those of later ranks may take together."""

    def __init__(self, free: Sequence[int]) -> None:
        self._free = list(free)

    def of(self, rank: int) -> int:
        """How many a queue of this rank may take."""
        return max(0, min(self._free[: rank + 1]))

    def take(self, rank: int, *, slots: int = 1) -> None:
        for index in range(rank + 1):
            self._free[index] -= slots

    def narrowest(self, rank: int) -> int | None:
        """The last rank up to this one that has no room left: a slot freed before it is of no use to `rank`.

        None: there is room.
        """
        return next((index for index in range(rank, -1, -1) if self._free[index] <= 0), None)


def slots_by_rank(slots: int, *, ranks: Sequence[int], reserve: Sequence[float]) -> list[int]:
    """How many slots the queues of each rank and of later ones may fill together; `ranks` are those of the queues.

    `reserve`: the share of all slots that is kept from each rank after the first, and from those after it. It grows,
    as far as a quarter of the slots, to one slot for each queue that is more urgent, so that none of them is ever deaf.
    """
    filled = [slots]
    for rank, share in enumerate(reserve, start=1):
        urgent = sum(other < rank for other in ranks)
        kept = max(round(share * slots), min(urgent, slots // 4))
        filled.append(max(1, min(filled[-1], slots - kept)))
    return filled


def allocate(rooms: Rooms, queues: Sequence[Queue], *, turn: int, depth: int = 1) -> list[int]:
    """How many more messages to ask of each queue; takes them from `rooms`. `turn` counts up, once per call."""
    asks = [0] * len(queues)

    def ask(index: int, *, slots: int = 1) -> None:
        asks[index] += slots
        rooms.take(queues[index].rank, slots=slots)

    for index in _heard(rooms, queues, turn=turn):
        ask(index)
    for index, queue in enumerate(queues):
        if queue.waiting and not queue.resting:
            ask(index, slots=min(rooms.of(queue.rank), max(0, queue.waiting - queue.asked - asks[index])))
    for _ in range(depth - 1):
        for index, queue in enumerate(queues):
            idle = not (queue.resting or queue.sparing)
            if idle and rooms.of(queue.rank) and queue.asked + asks[index] < depth:
                ask(index)
    return asks


def _heard(rooms: Rooms, queues: Sequence[Queue], *, turn: int) -> list[int]:
    """Rules 2 and 3: the deaf queues to ask. The last rank chooses first, and the others among what it leaves."""
    deaf = [index for index, queue in enumerate(queues) if not queue.asked and not queue.resting]
    chosen: list[int] = []
    for rank in sorted({queues[index].rank for index in deaf}, reverse=True):
        candidates = [index for index in deaf if queues[index].rank == rank or index in chosen]
        free = rooms.of(rank)
        chosen = candidates if free >= len(candidates) else _chosen(candidates, queues, free=free, turn=turn)
    return chosen


def _chosen(deaf: list[int], queues: Sequence[Queue], *, free: int, turn: int) -> list[int]:
    """Rule 3, with fewer slots than deaf queues."""
    favoured = (free + 1 - turn % 2) // 2
    longest = sorted(deaf[favoured:], key=lambda index: queues[index].last)
    return deaf[:favoured] + longest[: free - favoured]
