"""The control service: cancel a request, in whatever phase it is.

    it has its terminal event       ended
    an executor runs it             cancelling: that one ends it, with the partial answer
    known, and nobody runs it       cancelled: it is ended here, and its work leaves the queue
    no trace of it                  unknown: a note waits for it, and the router that hands it on ends it

The mark is stored before the executors are told, so that one which begins in between either finds it or has heard.
"""

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import orjson
from pydantic import ValidationError

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Ended, TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.records import Records
from tokenbus_router.unanswered import cancelled
from tokenbus_router.unattended import Outcome, Unattended
from tokenbus_schemas import ControlReply, ControlRequest, RequestId, Tenant
from tokenbus_schemas.control import CancelStatus
from tokenbus_schemas.requests import first_problem

_log = logging.getLogger(__name__)

_STATUS: Final[Mapping[Outcome, CancelStatus]] = MappingProxyType(
    {"ended": "cancelled", "had ended": "ended", "runs": "cancelling"}
)


class Control:
    """Answers control calls."""

    def __init__(
        self,
        bus: Bus,
        *,
        topology: Topology,
        terminal: TerminalWriter,
        unattended: Unattended,
        notes: QueueNotes,
        records: Records,
    ) -> None:
        self._bus = bus
        self._topology = topology
        self._subjects = topology.subjects
        self._terminal = terminal
        self._unattended = unattended
        self._notes = notes
        self._records = records

    async def call(self, tenant: Tenant, request_id: RequestId, *, payload: bytes) -> bytes:
        """The JSON of a `ControlReply`. Raises `RequestError` for a payload that is none, and `BusError`."""
        try:
            ControlRequest.model_validate_json(payload)
        except ValidationError as error:
            raise first_problem(error) from error
        status = await self.cancel(tenant, request_id)
        _log.info("cancel", extra={"request_id": request_id, "tenant": tenant, "status": status})
        return orjson.dumps(ControlReply(status=status).model_dump(exclude_none=True))

    async def cancel(self, tenant: Tenant, request_id: RequestId) -> CancelStatus:
        """Raises `BusError`; a repeated call goes on where this one stopped."""
        # The note first: an end takes it away, so whoever finds neither has come before the request.
        note = await self._notes.find(tenant, request_id)
        stands = await self._terminal.read(tenant, request_id)
        if isinstance(stands, Ended):
            return "ended"
        if stands is not None and stands.deleted:
            return "unknown"
        await self._bus.kv_put(self._topology.cancelled.name, f"{tenant}.{request_id}", b"cancel")
        if note is None:
            note = await self._notes.note_cancelled(tenant, request_id, now=time.time())
        if note.status == "cancelled":
            # Nobody need be waited for: whoever fetches such a request finds the mark, or remembers this message.
            await self._bus.publish(self._subjects.stop(tenant, request_id), b"")
            return "unknown" if await self._records.find(tenant, request_id) is None else "cancelling"
        asked = note.asked(tenant, request_id)
        outcome = await self._unattended.end(
            asked,
            ending=lambda attempt: cancelled(asked, attempt=attempt),
            stands=stands,
            work_sequence=note.work_sequence,
            stop=b"",
        )
        return _STATUS[outcome]
