"""Work for a target of another pool goes back to the bus, to that pool's queue, as its next hop."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tokenbus.bus import Bus
from tokenbus.cancel_guard import cancel_guard
from tokenbus.errors import StreamFullError
from tokenbus_schemas import Pool, Subjects, Target, Tenant, WorkOrder
from tokenbus_schemas.headers import HANDED_ON, PAYLOAD
from tokenbus_schemas.work import ATTEMPTS_PER_HOP, WORK_OUTLIVES_S

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

    `headers`: those of the work as it came. Raises `StreamFullError` where its tenant has all the work there that it
    may have, and other `BusError`.
    """
    subject = subjects.work(Pool(order.targets[0].pool), order.priority_class, Tenant(order.tenant))
    await _store(order, subject=subject, bus=bus, headers=headers)


async def hand_over_or_line_up(order: WorkOrder, *, bus: Bus, subjects: Subjects, headers: Mapping[str, str]) -> None:
    """Where `hand_over` is refused: store it where the tenant's work waits for a place in that queue.

    Raises `StreamFullError` where that line is full, too, and other `BusError`.
    """
    try:
        await hand_over(order, bus=bus, subjects=subjects, headers=headers)
    except StreamFullError:
        subject = subjects.waiting(Pool(order.targets[0].pool), order.priority_class, Tenant(order.tenant))
        await _store(order, subject=subject, bus=bus, headers=headers)


async def _store(order: WorkOrder, *, subject: str, bus: Bus, headers: Mapping[str, str]) -> None:
    if PAYLOAD in headers:  # it refers to the request, which is the same
        order = order.model_copy(update={"request": {}})
    with cancel_guard():
        await bus.publish_stored(
            subject,
            order.model_dump_json().encode(),
            headers={name: headers[name] for name in HANDED_ON if name in headers},
            message_id=f"{order.tenant}.{order.request_id}.{order.hop}",
            ttl_s=order.deadline - time.time() + WORK_OUTLIVES_S,
            retry_for_s=_RETRY_FOR_S,
        )
