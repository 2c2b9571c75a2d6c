"""The one place where events get their sequence numbers and leave for the bus.

A number is given to an event when its message is taken by the bus, not before: whoever is cancelled in between leaves
neither a gap nor a lost event behind, what is unsent goes first the next time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from tokenbus.bus import Bus
from tokenbus_executor.oversize import fitted_terminal, without_echo
from tokenbus_schemas import ATTEMPT_STRIDE, Event, encode

SPLIT_BYTES: Final = 256 * 1024
"""An event message grows to about this; a larger burst is split between events."""


class LastWords(NamedTuple):
    """The end of an answer, numbered."""

    line: bytes
    """The terminal event alone, to be stored."""
    messages: list[bytes]
    """What was not published yet, in order, the terminal event last; to be published once that is stored."""


class _Batch(NamedTuple):
    payload: bytes
    events: int
    """How many were used up, those that could not be carried included."""


class EventPublisher:
    """Publishes the events of one attempt, in order, on its subject."""

    def __init__(
        self, bus: Bus, *, subject: str, attempt: int, gate: asyncio.Event | None = None, published: int = 0
    ) -> None:
        """`gate`: no event leaves before it is set. `published`: events of the request that the router numbered, as the
        first of the first attempt.
        """
        self._gate = gate
        self._bus = bus
        self._subject = subject
        self._next_number = (attempt - 1) * ATTEMPT_STRIDE + (published if attempt == 1 else 0)
        self._unsent: list[Event] = []

    @property
    def next_number(self) -> int:
        """The sequence number of the next event; all before it were handed to the bus."""
        return self._next_number

    async def publish(self, events: Sequence[Event]) -> None:
        """Events that arrived together, in one message unless that grows too large. Raises `BusError`.

        An event that the bus can not carry is left out, number and all: readers see the gap, and the terminal event
        heals it.
        """
        self._unsent += events
        if self._gate is not None:
            await self._gate.wait()
            self._gate = None
        while self._unsent:
            batch = self._batch()
            if batch.payload:
                await self._bus.publish(self._subject, batch.payload)
            self._used(batch)

    async def send(self, message: bytes) -> None:
        """An event message that is numbered already. Raises `BusError`."""
        await self._bus.publish(self._subject, message)

    def last_words(self, events: Sequence[Event]) -> LastWords:
        """Number the last events of an answer, the terminal one last, without publishing any."""
        *before, terminal = events
        self._unsent += before
        messages: list[bytes] = []
        while self._unsent:
            batch = self._batch()
            if batch.payload:
                messages.append(batch.payload)
            self._used(batch)
        line = encode(fitted_terminal(terminal, max_payload=self._bus.max_payload), self._next_number)
        if messages and len(messages[-1]) + len(line) < SPLIT_BYTES:
            messages[-1] += b"\n" + line
        else:
            messages.append(line)
        return LastWords(line, messages)

    def _used(self, batch: _Batch) -> None:
        self._next_number += batch.events
        del self._unsent[: batch.events]

    def _batch(self) -> _Batch:
        """The next message."""
        lines: list[bytes] = []
        size = 0
        number = self._next_number
        largest = self._bus.max_payload
        split = min(SPLIT_BYTES, largest)
        for event in self._unsent:
            line = encode(event, number)
            if len(line) > largest:
                lighter = without_echo(event)
                line = b"" if lighter is None else encode(lighter, number)
            size += len(line) + 1
            if lines and size > split:
                break
            number += 1
            if 0 < len(line) <= largest:
                lines.append(line)
        return _Batch(b"\n".join(lines), number - self._next_number)
