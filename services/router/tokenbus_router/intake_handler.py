"""Carries out what `intake.py` decides about a message of REQUESTS.

The order is the guarantee: what the message leads to is stored before the message is acknowledged, and every step may
be repeated. A router that dies in between leaves the message to another one, which does the same again: the work has a
message id, the terminal event a compare and set.
"""

import logging
import time
from typing import Final

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import PayloadTooLargeError, StreamFullError
from tokenbus_chassis.delivery import Delivery
from tokenbus_router.admissions import Admissions
from tokenbus_router.dead_letters import DeadLetters
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Admitted, Arrival, Dead, Intake, Refused, Sender
from tokenbus_router.limits import RESERVED_BYTES
from tokenbus_router.unanswered import Asked, refused
from tokenbus_schemas import ErrorBody, ErrorCode, Subjects

_log = logging.getLogger(__name__)

_RETRY_FOR_S: Final = 5.0
"""How long work is offered again to a stream that is electing a leader, before the request goes back to its queue."""


class IntakeHandler:
    """Handles one delivery at a time per call; calls may overlap."""

    def __init__(
        self,
        bus: Bus,
        *,
        subjects: Subjects,
        intake: Intake,
        ender: Ender,
        admissions: Admissions,
        dead_letters: DeadLetters,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._intake = intake
        self._ender = ender
        self._admissions = admissions
        self._dead_letters = dead_letters

    async def __call__(self, delivery: Delivery) -> None:
        """Returns when the message is acknowledged. Raises `BusError`; then it will be delivered again."""
        arrival = Arrival(delivery.subject, delivery.headers, delivery.data, delivery.timestamp_s)
        sender = self._intake.identify(arrival)
        if isinstance(sender, Dead):
            await self._dead_letters.bury(arrival, error=sender.error)
        else:
            decision = self._decide(arrival, sender=sender)
            if isinstance(decision, Admitted):
                await self._hand_on(decision)
            else:
                await self._refuse(decision)
        await delivery.ack()

    def _decide(self, arrival: Arrival, *, sender: Sender) -> Refused | Admitted:
        try:
            return self._intake.decide(arrival, sender=sender, now=time.time())
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave the request without an end
            _log.error("intake failed", extra={"request_id": sender.request_id, "error": error_site(error)})
            asked = Asked(sender.tenant, sender.request_id, sender.channel, "", arrival.accepted_at)
            return Refused(asked, ErrorBody(ErrorCode.INTERNAL_ERROR, "an error of the router; its log has the detail"))

    async def _hand_on(self, admitted: Admitted) -> None:
        try:
            await self._bus.publish_stored(
                self._subjects.work(admitted.pool, admitted.priority_class),
                admitted.payload,
                headers=admitted.headers,
                message_id=admitted.message_id,
                retry_for_s=_RETRY_FOR_S,
            )
        except StreamFullError:
            message = f"the queue of pool {admitted.pool}, class {admitted.priority_class}, is full; retry later"
            await self._refuse(Refused(admitted.asked, ErrorBody(ErrorCode.OVERLOADED, message), admitted.request))
        except PayloadTooLargeError as error:
            message = (
                f"the work order of this request is {error.size} bytes and the bus takes {error.max_payload}; "
                "send a shorter input"
            )
            await self._refuse(Refused(admitted.asked, ErrorBody(ErrorCode.PAYLOAD_TOO_LARGE, message)))
        else:
            # After the work, which waits for nothing: the note is for those who ask about it later.
            await self._admissions.note(admitted.asked)

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
