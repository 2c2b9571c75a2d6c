"""The one place where events get their sequence numbers and leave for the bus."""

from collections.abc import Sequence
from typing import Final

from tokenbus.bus import Bus
from tokenbus_schemas import ATTEMPT_STRIDE, Event, encode

SPLIT_BYTES: Final = 256 * 1024
"""An event message grows to about this; a larger burst is split between events, far below any max_payload."""


class EventPublisher:
    """Publishes the events of one attempt, in order, on its subject."""

    def __init__(self, bus: Bus, *, subject: str, attempt: int) -> None:
        self._bus = bus
        self._subject = subject
        self.next_number = (attempt - 1) * ATTEMPT_STRIDE

    def number(self, event: Event) -> bytes:
        """The event as a line with the next number, not published."""
        line = encode(event, self.next_number)
        self.next_number += 1
        return line

    async def publish(self, events: Sequence[Event]) -> None:
        """Events that arrived together, in one message unless that grows too large.

        An event larger than the bus takes is left out, number and all: readers see the gap, and the terminal event
        heals it.
        """
        lines: list[bytes] = []
        size = 0
        for event in events:
            line = self.number(event)
            if lines and size + len(line) > SPLIT_BYTES:
                await self.publish_lines(b"\n".join(lines))
                lines.clear()
                size = 0
            if len(line) > self._bus.max_payload:
                continue
            lines.append(line)
            size += len(line) + 1
        if lines:
            await self.publish_lines(b"\n".join(lines))

    async def publish_lines(self, payload: bytes) -> None:
        """An event message that is already numbered."""
        await self._bus.publish(self._subject, payload)
