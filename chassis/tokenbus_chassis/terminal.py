"""The end of a request, stored exactly once: compare and set on the request's own subject in RESULTS.

Rules of this file; whoever ends a request, router or executor, goes through it:

1. Attempt 1 expects the subject to be empty (sequence 0).
2. A later attempt reads first. If a terminal event is there, the request has ended. Else it writes a *fence*, a message
   on the same subject that is no terminal event, and expects the fence's sequence when it ends: an earlier attempt that
   wakes up late expects something that is no longer last, and is refused by the server.
3. A refused write reads what stands there. A write whose acknowledgement was lost looks the same; then what stands
   there is our own, and the write counts as done.
4. Where the fence that is expected is gone and nothing in its place, the store was lost: results outlive every request.
   Then the first to write wins.
5. A response that is deleted leaves a fence that no attempt can pass, so that work which is delivered again, or a late
   writer, brings nothing back.
6. Nothing else is ever written there, so the last message on the subject tells how the request stands.
7. The router's note of the request lies in the same stream, as a scheduled message. The server takes it away in the
   step that stores the terminal event (ADR-51: `Nats-Schedule-Next: purge`), so no note outlives its purpose.

Reads go to the stream's leader: a replica may be a moment behind. Only `look`, which decides nothing, asks any.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tokenbus.bus import Bus
from tokenbus.errors import WrongLastSequenceError
from tokenbus.stored import StoredMessage
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, RequestId, Subjects, Tenant, encode

FENCE_TYPE: Final = "tokenbus:fence"
"""The type of a fence. It stands in RESULTS only and is no event for readers."""


_DELETED_ATTEMPT: Final = 2**32
"""Higher than any attempt there will be."""


class Ended(NamedTuple):
    """The request has its terminal event."""

    line: bytes
    """The event, as it is published."""
    sequence: int
    """Of the message in RESULTS."""


class Fence(NamedTuple):
    """An attempt later than the first has begun; it alone may end the request."""

    attempt: int
    sequence: int

    @property
    def deleted(self) -> bool:
        """It stands where a response was that has been deleted."""
        return self.attempt >= _DELETED_ATTEMPT


class Stored(NamedTuple):
    """Our terminal event is the one."""

    sequence: int


class Lost(NamedTuple):
    """Someone else came first. `winner` is None where the message has expired meanwhile."""

    winner: Ended | Fence | None


class OvertakenError(Exception):
    """A later attempt has begun: this one must stop, publish nothing more and leave the work alone."""

    def __init__(self, *, attempt: int, newer: int) -> None:
        self.attempt = attempt
        self.newer = newer
        super().__init__(f"attempt {attempt} was overtaken by attempt {newer}")


class TerminalWriter:
    """Writes and reads the ends of requests. While JetStream elects a leader, writes are retried for `retry_for_s`.

    Every method raises `BusError` where RESULTS can not be reached; a cancel leaves a write either done or not.
    """

    def __init__(self, bus: Bus, *, subjects: Subjects, stream: str, retry_for_s: float = 10.0) -> None:
        """`stream`: the name of RESULTS."""
        self._bus = bus
        self._subjects = subjects
        self._stream = stream
        self._retry_for_s = retry_for_s

    async def read(self, tenant: Tenant, request_id: RequestId) -> Ended | Fence | None:
        """How the request stands: ended, fenced, or None while its first attempt has written nothing."""
        subject = self._subjects.result(tenant, request_id)
        message = await self._bus.last_message_at_leader(self._stream, subject)
        return None if message is None else parse_end(message)

    async def look(self, tenant: Tenant, request_id: RequestId) -> Ended | Fence | None:
        """As `read`, cheaply, and perhaps a moment ago: for what every request asks and hardly any finds."""
        message = await self._bus.last_message(self._stream, self._subjects.result(tenant, request_id))
        return None if message is None else parse_end(message)

    async def store(
        self, tenant: Tenant, request_id: RequestId, payload: bytes, *, expected_sequence: int
    ) -> Stored | Lost:
        """Store `payload`, a terminal event line, if the last message on the subject has `expected_sequence`.

        Raises `PayloadTooLargeError` before anything is sent.
        """
        ends = {"Nats-Scheduler": self._subjects.queued(tenant, request_id), "Nats-Schedule-Next": "purge"}
        return await self._write(tenant, request_id, payload, expected_sequence=expected_sequence, headers=ends)

    async def _write(
        self,
        tenant: Tenant,
        request_id: RequestId,
        payload: bytes,
        *,
        expected_sequence: int,
        headers: Mapping[str, str] | None = None,
    ) -> Stored | Lost:
        try:
            ack = await self._bus.publish_stored(
                self._subjects.result(tenant, request_id),
                payload,
                headers=headers,
                expected_last_subject_sequence=expected_sequence,
                retry_for_s=self._retry_for_s,
            )
        except WrongLastSequenceError:
            winner = await self.read(tenant, request_id)
            if isinstance(winner, Ended) and winner.line == payload:
                return Stored(winner.sequence)
            if winner is None and expected_sequence:
                return await self._write(tenant, request_id, payload, expected_sequence=0, headers=headers)
            return Lost(winner)
        return Stored(ack.sequence)

    async def delete(self, tenant: Tenant, request_id: RequestId, *, end: Ended) -> bool:
        """Put a fence in the place of the end; whether it was still there."""
        payload = encode(Event(FENCE_TYPE, b""), (_DELETED_ATTEMPT - 1) * ATTEMPT_STRIDE)
        written = await self._write(tenant, request_id, payload, expected_sequence=end.sequence)
        return isinstance(written, Stored)

    async def fence(self, tenant: Tenant, request_id: RequestId, *, attempt: int) -> Ended | Fence:
        """Begin a later attempt: its fence, or the end that is there already.

        Raises `OvertakenError` where a still later attempt has begun.
        """
        payload = encode(Event(FENCE_TYPE, b""), (attempt - 1) * ATTEMPT_STRIDE)
        while True:
            found = await self.read(tenant, request_id)
            if isinstance(found, Ended):
                return found
            if found is not None and found.attempt == attempt:
                return found
            if found is not None and found.attempt > attempt:
                raise OvertakenError(attempt=attempt, newer=found.attempt)
            written = await self._write(
                tenant, request_id, payload, expected_sequence=0 if found is None else found.sequence
            )
            if isinstance(written, Stored):
                return Fence(attempt, written.sequence)


def parse_end(message: StoredMessage) -> Ended | Fence:
    """What a message of RESULTS says. Raises `MalformedEventError` for what was never written by this file."""
    line = EventLine(message.data)
    if line.is_terminal:
        return Ended(message.data, message.sequence)
    return Fence(line.attempt, message.sequence)
