"""Bounds how often one message is taken up: what kills its worker each time must not do so for ever.

The server counts deliveries. Those that ended in good order do not count: a shutdown, or a bus in trouble, handed the
message back, and left a mark beside the events. So a rolling restart wears no request out. The marks are best effort:
one that is lost counts as a death.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, cast

from tokenbus.bus import Bus
from tokenbus.errors import BusError
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.topology import Topology

_log = logging.getLogger(__name__)

Handler = Callable[[Delivery], Awaitable[None]]

MAX_DELIVERIES: Final = 100
"""No message is delivered more often, whatever its deliveries ended in."""


class DeliveryLimit:
    """A handler around a handler: `handler`, or `give_up` for a message that was delivered too often."""

    def __init__(
        self, bus: Bus, *, topology: Topology, stream: str, handler: Handler, give_up: Handler, most: int
    ) -> None:
        """`stream`: where the messages come from. `most`: how often one may be taken up, less than `MAX_DELIVERIES`."""
        self._bus = bus
        self._events = topology.events.name
        self._subjects = topology.subjects
        self._stream = stream
        self._handler = handler
        self._give_up = give_up
        self._most = most

    async def __call__(self, delivery: Delivery) -> None:
        """Raises what the handlers raise."""
        if delivery.attempt > self._most and await self._is_worn_out(delivery):
            _log.error(
                "a message was delivered too often",
                extra={"stream": self._stream, "sequence": delivery.stream_sequence, "attempt": delivery.attempt},
            )
            await self._give_up(delivery)
            return
        try:
            await self._handler(delivery)
        except BaseException as error:
            if _is_in_good_order(error):
                await self._mark(delivery)
            raise

    async def _is_worn_out(self, delivery: Delivery) -> bool:
        if delivery.attempt >= MAX_DELIVERIES:
            return True
        marks = self._subjects.returned(self._stream, delivery.stream_sequence, "*")
        page = await self._bus.read_stored(self._events, marks, batch=MAX_DELIVERIES)
        return delivery.attempt - len({mark.subject for mark in page.messages}) > self._most

    async def _mark(self, delivery: Delivery) -> None:
        mark = self._subjects.returned(self._stream, delivery.stream_sequence, str(delivery.attempt))
        try:
            await self._bus.publish(mark, b"")
        except BusError:
            _log.warning("a message was handed back without a mark", extra={"stream": self._stream})


def _is_in_good_order(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return any(_is_in_good_order(inner) for inner in group.exceptions)
    return isinstance(error, BusError | asyncio.CancelledError)
