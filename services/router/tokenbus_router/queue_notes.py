"""A note of every request that was handed on, kept until it has its end: where answers go, and where its work lies.

It is a scheduled message in RESULTS, one per request. The terminal event takes it away as it is stored (`terminal.py`);
where none is, the server moves the note to `due` at the deadline, and whichever router runs then ends the request
(`deadlines.py`). A cancel of what has not come yet is noted on the same subject: the first note stands, so a router and
a cancel find each other, whoever comes first.

Source: ADR-51; nats-server 2.12 and later. Measured on 2.15.1: a note costs the server 7 µs of CPU, a third of that for
its schedule; it fires on the millisecond, one that is overdue within 0.3 s; it survives a kill.
"""

import math
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tokenbus.bus import Bus
from tokenbus.errors import WrongLastSequenceError
from tokenbus_router.unanswered import Asked
from tokenbus_schemas import DEFAULT_CHANNEL, Channel, RequestId, Subjects, Tenant
from tokenbus_schemas.headers import MAX_TIMEOUT_S

_RETRY_FOR_S: Final = 5.0


class QueueNote(BaseModel):
    """The payload of a note."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["queued", "cancelled"] = "queued"
    """`cancelled`: it was cancelled before it came."""
    channel: str = DEFAULT_CHANNEL
    model: str = ""
    accepted_at: float = 0.0
    deadline: float
    """Unix seconds; of a cancelled one: until when the note is kept."""
    announced: int = 0
    """Events that the router published of it."""
    work_sequence: int = 0
    """Of its work, where that was first put in WORK."""

    def asked(self, tenant: Tenant, request_id: RequestId) -> Asked:
        return Asked(tenant, request_id, Channel(self.channel), self.model, self.accepted_at, self.announced)


class QueueNotes:
    """Writes and reads the notes."""

    def __init__(self, bus: Bus, *, subjects: Subjects, stream: str) -> None:
        """`stream`: the name of RESULTS."""
        self._bus = bus
        self._subjects = subjects
        self._stream = stream

    async def note(self, asked: Asked, *, deadline: float, work_sequence: int) -> QueueNote:
        """Note that the request was handed on; the note that stands now, which may be an earlier one.

        Raises `BusError`.
        """
        note = QueueNote(
            channel=asked.channel,
            model=asked.model,
            accepted_at=asked.accepted_at,
            announced=asked.announced,
            deadline=deadline,
            work_sequence=work_sequence,
        )
        return await self._keep(asked.tenant, asked.request_id, note)

    async def note_cancelled(self, tenant: Tenant, request_id: RequestId, *, now: float) -> QueueNote:
        """Note that the request is cancelled, should it come; the note that stands now. `now`: Unix seconds.

        Kept for the longest time that a request may have. Raises `BusError`.
        """
        return await self._keep(tenant, request_id, QueueNote(status="cancelled", deadline=now + MAX_TIMEOUT_S))

    async def find(self, tenant: Tenant, request_id: RequestId) -> QueueNote | None:
        """The note; None where there is none, or not any more. Raises `BusError`."""
        stored = await self._bus.last_message_at_leader(self._stream, self._subjects.queued(tenant, request_id))
        return None if stored is None else parse_note(stored.data)

    async def _keep(self, tenant: Tenant, request_id: RequestId, note: QueueNote) -> QueueNote:
        headers = {
            "Nats-Schedule": f"@at {_rfc3339(note.deadline)}",
            "Nats-Schedule-Target": self._subjects.due(tenant, request_id),
        }
        try:
            await self._bus.publish_stored(
                self._subjects.queued(tenant, request_id),
                note.model_dump_json().encode(),
                headers=headers,
                expected_last_subject_sequence=0,
                retry_for_s=_RETRY_FOR_S,
            )
        except WrongLastSequenceError:
            return await self.find(tenant, request_id) or note
        return note


def parse_note(payload: bytes) -> QueueNote | None:
    """None for what is no note."""
    try:
        return QueueNote.model_validate_json(payload)
    except ValidationError:
        return None


def _rfc3339(unix_s: float) -> str:
    """In milliseconds, rounded up: never before the time."""
    moment = datetime.fromtimestamp(math.ceil(unix_s * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
