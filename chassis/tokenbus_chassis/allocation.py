"""Which queues a worker asks for messages with the slots it has free.

A request for one message holds one slot until it is answered. Queues are listed in order of priority. The rules:

1. No more is asked for than slots are free.
2. A queue that nothing is asked of is *deaf*: we would not learn of a message there. While slots suffice, no queue is
   deaf.
3. Where they do not, half of them go to the first deaf queues in priority and half go round the others (a single slot:
   in turn). So the first classes are favoured and none starves.
4. Slots left over go where messages are known to wait, in order of priority.
5. Of what is then left a part goes round all queues, up to `depth` requests each, so that a burst finds several open.
   The rest stays free for the queue where the next message shows that more are waiting.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Queue(NamedTuple):
    """What a worker knows of one queue. `asked`: unanswered requests. `waiting`: messages there at last sight.

    `resting`: ask nothing of it just now.
    """

    asked: int = 0
    waiting: int = 0
    resting: bool = False


def allocate(free: int, queues: Sequence[Queue], *, turn: int, depth: int = 1) -> list[int]:
    """How many more messages to ask of each queue. `turn` counts up, once per call."""
    asks = [0] * len(queues)
    deaf = [index for index, queue in enumerate(queues) if not queue.asked and not queue.resting]
    for index in deaf if free >= len(deaf) else _chosen(deaf, free, turn=turn):
        asks[index] = 1
    free -= sum(asks)
    for index, queue in enumerate(queues):
        if queue.waiting and not queue.resting:
            more = min(free, max(0, queue.waiting - queue.asked - asks[index]))
            asks[index] += more
            free -= more
    for _ in range(depth - 1):
        for index, queue in enumerate(queues):
            if free and not queue.resting and queue.asked + asks[index] < depth:
                asks[index] += 1
                free -= 1
    return asks


def _chosen(deaf: list[int], free: int, *, turn: int) -> list[int]:
    """Rule 3, with fewer slots than deaf queues. Over the turns the second half passes each of the others equally."""
    favoured = (free + 1 - turn % 2) // 2
    others = deaf[(free + 1) // 2 :]
    start = turn * free // 2 % len(others)
    return [*deaf[:favoured], *(others[start:] + others[:start])[: free - favoured]]
