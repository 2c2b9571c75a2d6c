"""The dead letters as an operator has them: listed page by page, sent once more, or dropped.

For operators only: this reads and writes the services' streams, which no tenant reaches.

A letter that is sent again runs as a new request, under an id of its own: whoever waited for the old one was told how
that ended, and no end may be written twice. The new id follows from the letter, so a retry that was cut short and is
repeated runs once. The request's time begins anew.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import ValidationError

from tokenbus.bus import Bus, StoredMessage
from tokenbus.errors import TokenbusError
from tokenbus_chassis.terminal import Ended, TerminalWriter
from tokenbus_chassis.topology import topology
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.unanswered import Asked
from tokenbus_schemas import DEFAULT_CHANNEL, EventLine, InvalidTokenError, Pool, RequestId, Tenant, WorkOrder
from tokenbus_schemas.headers import (
    ORIGIN,
    PAYLOAD,
    REASON,
    REQUEST_ID,
    TIMEOUT,
    TRACEPARENT,
    TRACESTATE,
    VERSION,
)
from tokenbus_schemas.subjects import request_id, tenant
from tokenbus_schemas.work import WORK_OUTLIVES_S

_PAGE: Final = 256
_SENT_AGAIN: Final = (TIMEOUT, VERSION, TRACEPARENT, TRACESTATE)


class DeadLetterError(TokenbusError):
    """The dead letter can not be had, or not be sent again; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of DEAD."""

    stored: StoredMessage

    @property
    def number(self) -> int:
        """Names it, for as long as it is there."""
        return self.stored.sequence

    @property
    def kind(self) -> str:
        """The queue it comes from: `requests` or `work`."""
        return self.stored.subject.rpartition(".")[2]

    @property
    def origin(self) -> str:
        """The subject it was sent to."""
        return self.stored.headers.get(ORIGIN, "")

    @property
    def reason(self) -> str:
        """`<code>: <what is wrong>`."""
        return self.stored.headers.get(REASON, "")

    def to_json(self, *, now: float) -> dict[str, object]:
        """What is known of it without its payload. `now`: Unix seconds."""
        return {
            "number": self.number,
            "kind": self.kind,
            "origin": self.origin,
            "reason": self.reason,
            "request_id": self.stored.headers.get(REQUEST_ID),
            "age_s": round(now - self.stored.timestamp_s, 1),
            "size_bytes": len(self.stored.data),
        }


@dataclass(frozen=True, slots=True)
class _Again:
    """A letter, ready to be sent."""

    tenant: Tenant
    old: RequestId | None
    subject: str
    payload: bytes
    headers: Mapping[str, str]
    message_id: str
    work: WorkOrder | None = None


class DeadStore:
    """Raises `DeadLetterError`, and `BusError`."""

    def __init__(self, bus: Bus, *, root: str) -> None:
        self._bus = bus
        self._topology = topology(root)
        self._subjects = self._topology.subjects

    async def page(self, *, start: int = 1, limit: int = _PAGE) -> tuple[list[DeadLetter], int | None]:
        """Letters from this number on, oldest first; where the next page starts, None at the end."""
        page = await self._bus.read_stored(
            self._topology.dead.name, f"{self._subjects.root}.dead.>", start_sequence=start, batch=limit
        )
        letters = [DeadLetter(message) for message in page.messages]
        return letters, page.next_sequence if page.remaining and letters else None

    async def letter(self, number: int) -> DeadLetter:
        letters, _ = await self.page(start=number, limit=1)
        if not letters or letters[0].number != number:
            raise DeadLetterError(f"there is no dead letter {number}; `tokenbus dead list` shows those that there are")
        return letters[0]

    async def drop(self, number: int) -> None:
        await self.letter(number)
        await self._bus.delete_message(self._topology.dead.name, number)

    async def retry(self, number: int, *, even_if_ended: bool) -> RequestId:
        """Send it again and drop it; the id it runs under. `even_if_ended`: though the request it was has its end."""
        letter = await self.letter(number)
        new = RequestId(f"again-{_digest(letter)}")
        again = self._again(letter, new=new)
        if again.old is not None and not even_if_ended:
            await self._refuse_if_ended(again.tenant, again.old, number=number)
        ttl_s = None if again.work is None else again.work.deadline - time.time() + WORK_OUTLIVES_S
        ack = await self._bus.publish_stored(
            again.subject, again.payload, headers=again.headers, message_id=again.message_id, ttl_s=ttl_s
        )
        if again.work is not None:
            notes = QueueNotes(self._bus, subjects=self._subjects, stream=self._topology.results.name)
            asked = Asked(again.tenant, new, DEFAULT_CHANNEL, again.work.model, again.work.accepted_at)
            await notes.note(asked, deadline=again.work.deadline, work_sequence=ack.sequence)
        await self._bus.delete_message(self._topology.dead.name, number)
        return new

    async def _refuse_if_ended(self, asker: Tenant, old: RequestId, *, number: int) -> None:
        terminal = TerminalWriter(self._bus, subjects=self._subjects, stream=self._topology.results.name)
        stands = await terminal.read(asker, old)
        if isinstance(stands, Ended):
            raise DeadLetterError(
                f"dead letter {number}: request {old} has ended ({EventLine(stands.line).type}), and its sender "
                "was told; `--again` runs it once more, as a new request"
            )

    def _again(self, letter: DeadLetter, *, new: RequestId) -> _Again:
        if PAYLOAD in letter.stored.headers:
            raise DeadLetterError(
                f"dead letter {letter.number} refers to a payload that was kept for its own request alone; ask its "
                "sender to send it again, then drop it"
            )
        if not letter.stored.data:
            raise DeadLetterError(f"dead letter {letter.number} has no payload: {letter.reason}; drop it")
        match letter.kind:
            case "requests":
                return self._request_again(letter, new=new)
            case "work":
                return self._work_again(letter, new=new)
            case _:
                raise DeadLetterError(f"dead letter {letter.number} is of kind {letter.kind}, which can not be retried")

    def _request_again(self, letter: DeadLetter, *, new: RequestId) -> _Again:
        try:
            asker = tenant(self._subjects.parse_request(letter.origin).tenant)
        except ValueError as error:
            raise DeadLetterError(
                f"dead letter {letter.number} came from {letter.origin!r}, where it would die again; "
                "send its payload to another subject, then drop it"
            ) from error
        kept = {name: value for name, value in letter.stored.headers.items() if name in _SENT_AGAIN}
        return _Again(
            tenant=asker,
            old=_request_id(letter.stored.headers.get(REQUEST_ID, "")),
            subject=letter.origin,
            payload=letter.stored.data,
            headers={**kept, REQUEST_ID: new},
            message_id=f"dead.{new}",
        )

    def _work_again(self, letter: DeadLetter, *, new: RequestId) -> _Again:
        try:
            order = WorkOrder.model_validate_json(letter.stored.data)
        except ValidationError as error:
            raise DeadLetterError(
                f"dead letter {letter.number} is no work order that this version can read; drop it"
            ) from error
        now = time.time()
        fresh = order.model_copy(
            update={
                "request_id": new,
                "channel": DEFAULT_CHANNEL,
                "accepted_at": now,
                "deadline": now + order.deadline - order.accepted_at,
                "hop": 1,
                "attempt_base": 0,
            }
        )
        kept = {name: value for name, value in letter.stored.headers.items() if name in (TRACEPARENT, TRACESTATE)}
        return _Again(
            tenant=Tenant(order.tenant),
            old=RequestId(order.request_id),
            subject=self._subjects.work(Pool(order.targets[0].pool), order.priority_class, Tenant(order.tenant)),
            payload=fresh.model_dump_json().encode(),
            headers=kept,
            message_id=f"{order.tenant}.{new}.1",
            work=fresh,
        )


def _request_id(text: str) -> RequestId | None:
    try:
        return request_id(text)
    except InvalidTokenError:
        return None


def _digest(letter: DeadLetter) -> str:
    stored = letter.stored
    identity = orjson.dumps([stored.subject, stored.sequence, stored.timestamp_s])
    return hashlib.sha256(identity + stored.data).hexdigest()[:32]
