"""Work for a target of another pool goes back to the bus, to that pool's queue, as its next hop."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tokenbus.bus import Bus
from tokenbus.cancel_guard import cancel_guard
from tokenbus_schemas import Pool, Subjects, Target, WorkOrder
from tokenbus_schemas.headers import TRACEPARENT, TRACESTATE
from tokenbus_schemas.work import ATTEMPTS_PER_HOP, WORK_OUTLIVES_S

MAX_HOPS: Final = 8
"""Beyond it, targets of other pools count as unavailable: work must not wander for ever."""
_RETRY_FOR_S: Final = 5.0


class Moved(NamedTuple):
    """The work has gone to another pool's queue; nothing of it is left to do here."""

    pool: str


def next_hop(order: WorkOrder, *, targets: Sequence[Target]) -> WorkOrder:
    """The order as the other pool gets it: `targets` in this order, the first one its own."""
    changes = {
        "hop": order.hop + 1,
        "attempt_base": order.hop * ATTEMPTS_PER_HOP,
        "targets": list(targets),
        "strategy": "ordered",  # it has been decided here
    }
    return order.model_copy(update=changes)


async def hand_over(order: WorkOrder, *, bus: Bus, subjects: Subjects, headers: Mapping[str, str]) -> None:
    """Store the order in its first target's queue, once, however often this is repeated.

    `headers`: those of the work as it came. Raises `StreamFullError` where that queue is full, and other `BusError`.
    """
    with cancel_guard():
        await bus.publish_stored(
            subjects.work(Pool(order.targets[0].pool), order.priority_class),
            order.model_dump_json().encode(),
            headers={name: headers[name] for name in (TRACEPARENT, TRACESTATE) if name in headers},
            message_id=f"{order.tenant}.{order.request_id}.{order.hop}",
            ttl_s=order.deadline - time.time() + WORK_OUTLIVES_S,
            retry_for_s=_RETRY_FOR_S,
        )
