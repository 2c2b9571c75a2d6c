"""Carries out what `intake.py` decides about a message of REQUESTS.

The order is the guarantee: what the message leads to is stored before the message is acknowledged, and every step may
be repeated. A router that dies in between leaves the message to another one, which does the same again: the work has a
message id, the terminal event a compare and set. A message that may have been handled before is looked up first.
"""

import asyncio
import logging
import time
from typing import Final

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import PayloadTooLargeError, StreamFullError
from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.terminal import Ended, TerminalWriter
from tokenbus_router.conversation import History
from tokenbus_router.conversations import Conversations
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Admitted, Arrival, Continues, Dead, Intake, Refused, Sender
from tokenbus_router.large import LargeRequests
from tokenbus_router.limits import RESERVED_BYTES
from tokenbus_router.lines import Handed, Lines
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.records import Records
from tokenbus_router.unanswered import Asked, announcement, cancelled, refused
from tokenbus_router.unattended import Unattended
from tokenbus_schemas import ErrorBody, ErrorCode, RequestError
from tokenbus_schemas.headers import PAYLOAD, RESUBMISSION

_log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5.0
"""Advice to the sender of a request that finds its line full: thousands stand in it."""
_OUT_OF_THE_WAY_S: Final = 0.005
_WORN_OUT: Final = ErrorBody(
    ErrorCode.ATTEMPTS_EXHAUSTED, "every router that took up this request died or failed; send it again if it may pass"
)
CLOCK_SLACK_S: Final = 2.0
"""How far the broker's clock and ours may be apart when we decide what may have been handled before."""


class IntakeHandler:
    """Handles one delivery at a time per call; calls may overlap."""

    def __init__(
        self,
        bus: Bus,
        *,
        intake: Intake,
        lines: Lines,
        large: LargeRequests,
        terminal: TerminalWriter,
        ender: Ender,
        records: Records,
        notes: QueueNotes,
        unattended: Unattended,
        conversations: Conversations,
        dead_letters: DeadLetters,
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._lines = lines
        self._large = large
        self._terminal = terminal
        self._ender = ender
        self._records = records
        self._notes = notes
        self._unattended = unattended
        self._conversations = conversations
        self._dead_letters = dead_letters
        self._connected_at = time.time()
        bus.on_reconnect(self._on_reconnect)

    async def __call__(self, delivery: Delivery) -> None:
        """Returns when the message is acknowledged. Raises `BusError`; then it will be delivered again."""
        arrival = Arrival(delivery.subject, delivery.headers, delivery.data, delivery.timestamp_s)
        sender = self._intake.identify(arrival)
        if isinstance(sender, Dead):
            await self._bury(delivery, error=sender.error)
        elif self._may_be_known(delivery) and await self._is_known(arrival, sender=sender):
            await self._keep_late(arrival, sender=sender)
        elif PAYLOAD in arrival.headers:
            await self._take_large(arrival, sender=sender)
        else:
            await self._take(arrival, sender=sender)
        await delivery.ack()

    async def _take(self, arrival: Arrival, *, sender: Sender) -> None:
        decision = await self._decided(arrival, sender=sender)
        if isinstance(decision, Admitted):
            await self._hand_on(decision)
        else:
            await self._refuse(decision)

    async def _take_large(self, arrival: Arrival, *, sender: Sender) -> None:
        """Of a request that is stored in pieces."""
        async with self._large.turn():
            try:
                whole = await self._large.fetched(arrival, sender=sender)
            except RequestError as error:
                # Its sender may have sent it twice: the first one was handed on, and the payload dropped.
                if not await self._is_known(arrival, sender=sender):
                    await self._refuse(Refused(_asked(arrival, sender=sender), error.body))
                return
            await self._take(whole, sender=sender)
        await self._large.drop(arrival, sender=sender)

    async def give_up(self, delivery: Delivery) -> None:
        """Of a message that was delivered too often: it ends undecoded, and is a dead letter. Raises `BusError`."""
        arrival = Arrival(delivery.subject, delivery.headers, delivery.data, delivery.timestamp_s)
        sender = self._intake.identify(arrival)
        if isinstance(sender, Dead):
            await self._bury(delivery, error=sender.error)
        elif not await self._is_known(arrival, sender=sender):
            await self._refuse(Refused(_asked(arrival, sender=sender), _WORN_OUT))
            await self._bury(delivery, error=_WORN_OUT)
        await delivery.ack()

    async def _bury(self, delivery: Delivery, *, error: ErrorBody) -> None:
        await self._dead_letters.bury(delivery, reason=f"{error.code}: {error.message}")

    def _may_be_known(self, delivery: Delivery) -> bool:
        """Whether it may have been handled before: by a router that died, for a server that forgot the ack, or when its
        sender sent it before."""
        return (
            delivery.attempt > 1
            or RESUBMISSION in delivery.headers
            or delivery.timestamp_s < self._connected_at + CLOCK_SLACK_S
        )

    async def _is_known(self, arrival: Arrival, *, sender: Sender) -> bool:
        """Whether it has its end, or was handed on. Message ids alone do not tell: they are soon forgotten."""
        if await self._is_over(_asked(arrival, sender=sender)):
            return True
        note = await self._notes.find(sender.tenant, sender.request_id)
        return note is not None and note.status == "queued"

    async def _on_reconnect(self) -> None:
        self._connected_at = time.time()

    async def _keep_late(self, arrival: Arrival, *, sender: Sender) -> None:
        """A router that handed the request on may have died before it had kept it."""
        if PAYLOAD in arrival.headers:
            return  # larger than a record may be
        if await self._records.find(sender.tenant, sender.request_id) is None:
            decision = await self._decided(arrival, sender=sender)
            if isinstance(decision, Admitted) and decision.record is not None:
                await self._records.keep(decision.asked, record=decision.record)

    async def _decided(self, arrival: Arrival, *, sender: Sender) -> Refused | Admitted:
        before: History | RequestError | None = None
        while isinstance(decision := self._decide(arrival, sender=sender, before=before), Continues):
            try:
                before = await self._conversations.before(sender.tenant, decision.previous)
            except RequestError as error:
                before = error
        return decision

    def _decide(
        self, arrival: Arrival, *, sender: Sender, before: History | RequestError | None
    ) -> Refused | Admitted | Continues:
        try:
            return self._intake.decide(arrival, sender=sender, now=time.time(), before=before)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave the request without an end
            _log.error("intake failed", extra={"request_id": sender.request_id, "error": error_site(error)})
            asked = _asked(arrival, sender=sender)
            return Refused(asked, ErrorBody(ErrorCode.INTERNAL_ERROR, "an error of the router; its log has the detail"))

    async def _hand_on(self, admitted: Admitted) -> None:
        if admitted.asked.announced:
            await self._announce(admitted)
        try:
            handed = await self._admit(admitted)
        except StreamFullError:
            message = (
                f"too many requests of class {admitted.priority_class} wait for pool {admitted.pool}; send this one "
                f"again after {RETRY_AFTER_S:g} s, and wait longer each time"
            )
            error = ErrorBody(ErrorCode.OVERLOADED, message, retry_after_s=RETRY_AFTER_S)
            await self._refuse(Refused(admitted.asked, error, admitted.request))
        except RequestError as error:
            await self._refuse(Refused(admitted.asked, error.body))
        else:
            if handed.before and await self._is_over(admitted.asked):
                return
            # After the work, which waits for nothing, and out of its way to the first token: for these writes the same
            # server would work in the same moment. The note last: it says that all before it was done.
            await asyncio.sleep(_OUT_OF_THE_WAY_S)
            if admitted.record is not None and not admitted.asked.announced:
                await self._records.keep(admitted.asked, record=admitted.record)
            await self._note(admitted, work_sequence=handed.work_sequence)

    async def _announce(self, admitted: Admitted) -> None:
        """Before the work, so that these events are the first. Who has heard that it is queued may ask for it."""
        asked = admitted.asked
        if admitted.record is not None:
            await self._records.keep(asked, record=admitted.record)
        message = announcement(asked, echo=admitted.request, max_bytes=self._bus.max_payload - RESERVED_BYTES)
        subject = self._intake.subjects.events(asked.tenant, asked.channel, asked.request_id, 1)
        await self._bus.publish(subject, message)

    async def _admit(self, admitted: Admitted) -> Handed:
        try:
            return await self._lines.admit(admitted)
        except PayloadTooLargeError:  # nothing was sent; what fits pays nothing for what does not
            return await self._lines.admit(await self._large.referred(admitted))

    async def _is_over(self, asked: Asked) -> bool:
        """Whether a request of this id has its end, which is told again, or was deleted."""
        stands = await self._terminal.read(asked.tenant, asked.request_id)
        if isinstance(stands, Ended):
            await self._ender.repeat(asked, line=stands.line)
            return True
        return stands is not None and stands.deleted

    async def _note(self, admitted: Admitted, *, work_sequence: int) -> None:
        asked = admitted.asked
        noted = await self._notes.note(asked, deadline=admitted.deadline, work_sequence=work_sequence)
        if noted.status == "cancelled":
            stands = await self._terminal.read(asked.tenant, asked.request_id)
            if not isinstance(stands, Ended):
                await self._unattended.end(
                    asked,
                    ending=lambda attempt: cancelled(asked, attempt=attempt),
                    stands=stands,
                    work_sequence=work_sequence,
                    stop=b"",
                )

    async def _refuse(self, refusal: Refused) -> None:
        max_bytes = self._bus.max_payload - RESERVED_BYTES
        try:
            ending = refused(refusal.asked, error=refusal.error, echo=refusal.echo, max_bytes=max_bytes)
        except Exception as error:  # noqa: BLE001 - an echo that can not be built must not keep a request from ending
            _log.error("an echo failed", extra={"request_id": refusal.asked.request_id, "error": error_site(error)})
            ending = refused(refusal.asked, error=refusal.error, echo=None, max_bytes=max_bytes)
        await self._ender.end(refusal.asked, ending=ending, expected_sequence=0)
        asked, error = refusal.asked, refusal.error
        fields = {"request_id": asked.request_id, "tenant": asked.tenant, "code": error.code, "param": error.param}
        _log.info("request refused", extra=fields)


def _asked(arrival: Arrival, *, sender: Sender) -> Asked:
    """Of a request whose payload nobody looks at."""
    return Asked(sender.tenant, sender.request_id, sender.channel, "", arrival.accepted_at)
