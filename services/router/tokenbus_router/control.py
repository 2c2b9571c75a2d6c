"""The control service: cancel a request, in whatever phase it is.

    it has its terminal event       ended
    an executor runs it             cancelling: that one ends it, with the partial answer
    known, and nobody runs it       cancelled: it is ended here; its work finds the end, or the mark, when it is fetched
    no trace of it                  unknown: the mark waits for it

The mark is stored before the executors are told, so that one which begins in between either finds it or has heard.
"""

import logging
from typing import Final

import orjson
from pydantic import ValidationError

from tokenbus.bus import Bus
from tokenbus.errors import BusTimeoutError, NoRespondersError
from tokenbus_chassis.terminal import Ended, Fence, Lost, Stored, TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_router.admissions import Admissions
from tokenbus_router.ending import Ender
from tokenbus_router.unanswered import Asked, cancelled
from tokenbus_schemas import ControlReply, ControlRequest, RequestId, Tenant
from tokenbus_schemas.control import CancelStatus
from tokenbus_schemas.requests import first_problem

_log = logging.getLogger(__name__)

STOP_TIMEOUT_S: Final = 0.5
"""An executor that runs the request answers at once; the others say nothing."""
_TRIES: Final = 3
"""How often an attempt may begin just while we end the request, before we leave it to the mark."""


class Control:
    """Answers control calls."""

    def __init__(
        self, bus: Bus, *, topology: Topology, terminal: TerminalWriter, ender: Ender, admissions: Admissions
    ) -> None:
        self._bus = bus
        self._topology = topology
        self._subjects = topology.subjects
        self._terminal = terminal
        self._ender = ender
        self._admissions = admissions

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
        stands = await self._terminal.read(tenant, request_id)
        if isinstance(stands, Ended):
            return "ended"
        await self._bus.kv_put(self._topology.cancelled.name, f"{tenant}.{request_id}", b"cancel")
        asked = await self._admissions.find(tenant, request_id)
        if asked is None:
            # Nobody need be waited for: whoever fetches such a request finds the mark, or remembers this message.
            await self._bus.publish(self._subjects.stop(tenant, request_id), b"")
            return "unknown"
        for _ in range(_TRIES):
            if await self._stopped_by_executor(tenant, request_id):
                return "cancelling"
            outcome = await self._end(asked, fence=stands)
            if isinstance(outcome, Stored):
                return "cancelled"
            if isinstance(outcome.winner, Ended):
                return "ended"
            stands = outcome.winner
        return "cancelling"

    async def _stopped_by_executor(self, tenant: Tenant, request_id: RequestId) -> bool:
        try:
            await self._bus.request(self._subjects.stop(tenant, request_id), b"", timeout_s=STOP_TIMEOUT_S)
        except (NoRespondersError, BusTimeoutError):
            return False
        return True

    async def _end(self, asked: Asked, *, fence: Fence | None) -> Stored | Lost:
        """End it as an attempt of our own, later than any that has begun: its numbers are free."""
        subject = self._subjects.request_events(asked.tenant, asked.request_id)
        newest = await self._bus.last_message(self._topology.events.name, subject)
        begun = max(
            0 if fence is None else fence.attempt,
            0 if newest is None else self._subjects.parse_events(newest.subject).attempt,
        )
        return await self._ender.end(
            asked,
            ending=cancelled(asked, attempt=begun + 1),
            expected_sequence=0 if fence is None else fence.sequence,
        )
