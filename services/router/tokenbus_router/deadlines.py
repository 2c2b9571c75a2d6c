"""Ends requests whose time is up while nobody runs them: the server tells of each, once its deadline has come.

An executor that runs the request ends it by its own clock, with the partial answer; it is given some time for that.
"""

import logging
from typing import Final

from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.terminal import Ended, TerminalWriter
from tokenbus_router.queue_notes import QueueNote, parse_note
from tokenbus_router.unanswered import Ending, failed
from tokenbus_router.unattended import Outcome, Unattended
from tokenbus_schemas import ErrorBody, ErrorCode, Subjects
from tokenbus_schemas.control import STOP_DEADLINE
from tokenbus_schemas.subjects import request_id, tenant

_log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 5.0
MAX_LOOKS: Final = 4
"""After so many the request is ended, whoever says that it runs."""


class Deadlines:
    """Handles the messages on `due`."""

    def __init__(self, *, subjects: Subjects, terminal: TerminalWriter, unattended: Unattended) -> None:
        self._subjects = subjects
        self._terminal = terminal
        self._unattended = unattended

    async def __call__(self, delivery: Delivery) -> None:
        """Returns when the message is settled. Raises `BusError`; then it will be delivered again."""
        note = parse_note(delivery.data)
        if note is not None and note.status == "queued":
            outcome = await self._end(delivery, note)
            if outcome == "runs":
                await delivery.nak(delay_s=LOOK_AGAIN_S)
                return
        await delivery.ack()

    async def _end(self, delivery: Delivery, note: QueueNote) -> Outcome:
        address = self._subjects.parse_call(delivery.subject)
        asked = note.asked(tenant(address.tenant), request_id(address.request_id))
        stands = await self._terminal.read(asked.tenant, asked.request_id)
        if isinstance(stands, Ended) or (stands is not None and stands.deleted):
            return "had ended"
        allowed_s = round(note.deadline - note.accepted_at, 3)
        said = f"the {allowed_s:g} s this request had, queueing included, are over, and no executor runs it"

        def ending(attempt: int) -> Ending:
            return failed(asked, attempt=attempt, error=ErrorBody(ErrorCode.DEADLINE_EXCEEDED, said))

        if delivery.attempt > MAX_LOOKS:
            await self._unattended.end_now(asked, ending=ending, stands=stands)
            return "ended"
        outcome = await self._unattended.end(
            asked, ending=ending, stands=stands, work_sequence=note.work_sequence, stop=STOP_DEADLINE
        )
        if outcome == "ended":
            extra = {"request_id": asked.request_id, "tenant": asked.tenant, "allowed_s": allowed_s}
            _log.warning("a request's time was up while nobody ran it", extra=extra)
        return outcome
