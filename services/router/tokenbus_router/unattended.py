"""Ends requests that no executor attends to: their time is up, or someone wants no more of them.

Executors are asked first. If none runs the request, it is ended as an attempt of our own, later than any that has
begun, behind whatever fence stands; then its work is taken out of its queue. An executor that fetches the work in
between loses the compare and set.
"""

import logging
from collections.abc import Callable
from typing import Final, Literal

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError, BusTimeoutError, NoRespondersError
from tokenbus_chassis.terminal import Ended, Fence, Lost, Stored
from tokenbus_chassis.topology import Topology
from tokenbus_router.ending import Ender
from tokenbus_router.unanswered import Asked, Ending
from tokenbus_schemas import RequestId, Tenant

_log = logging.getLogger(__name__)

ASK_TIMEOUT_S: Final = 0.5
"""An executor that runs the request answers at once; the others say nothing."""
_TRIES: Final = 3
"""How often an attempt may begin just while we end the request, before it is left to that attempt."""
_MESSAGE_ID: Final = "Nats-Msg-Id"

Outcome = Literal["ended", "had ended", "runs"]


class Unattended:
    """Ends them."""

    def __init__(self, bus: Bus, *, topology: Topology, ender: Ender) -> None:
        self._bus = bus
        self._topology = topology
        self._subjects = topology.subjects
        self._ender = ender

    async def end(
        self,
        asked: Asked,
        *,
        ending: Callable[[int], Ending],
        stands: Fence | None,
        work_sequence: int,
        stop: bytes,
    ) -> Outcome:
        """`ending` makes the end for an attempt number. `stands`: what RESULTS had last. `stop`: said to executors.

        Raises `BusError`; a repeated call goes on where this one stopped.
        """
        for _ in range(_TRIES):
            if await self._runs(asked.tenant, asked.request_id, stop=stop):
                return "runs"
            outcome = await self.end_now(asked, ending=ending, stands=stands)
            if isinstance(outcome, Stored) or isinstance(outcome.winner, Ended):
                await self._take_work(asked, sequence=work_sequence)
                return "ended" if isinstance(outcome, Stored) else "had ended"
            stands = outcome.winner
        return "runs"

    async def end_now(self, asked: Asked, *, ending: Callable[[int], Ending], stands: Fence | None) -> Stored | Lost:
        """Without asking executors: the fences decide. Raises `BusError`."""
        subject = self._subjects.request_events(asked.tenant, asked.request_id)
        newest = await self._bus.last_message(self._topology.events.name, subject)
        begun = max(
            0 if stands is None else stands.attempt,
            0 if newest is None else self._subjects.parse_events(newest.subject).attempt,
        )
        return await self._ender.end(
            asked, ending=ending(begun + 1), expected_sequence=0 if stands is None else stands.sequence
        )

    async def _runs(self, tenant: Tenant, request_id: RequestId, *, stop: bytes) -> bool:
        try:
            await self._bus.request(self._subjects.stop(tenant, request_id), stop, timeout_s=ASK_TIMEOUT_S)
        except (NoRespondersError, BusTimeoutError):
            return False
        return True

    async def _take_work(self, asked: Asked, *, sequence: int) -> None:
        """Out of its queue, so that it neither waits there nor is run. What has moved on since finds the end."""
        if not sequence:
            return
        stream, subject = self._topology.work.name, f"{self._subjects.root}.work.>"
        try:
            # In a stream that was lost and made anew the number may be another's.
            page = await self._bus.read_stored(stream, subject, start_sequence=sequence, batch=1)
            own = f"{asked.tenant}.{asked.request_id}."
            for message in page.messages:
                if message.sequence == sequence and message.headers.get(_MESSAGE_ID, "").startswith(own):
                    await self._bus.delete_message(stream, sequence)
        except BusError as error:
            _log.warning("work stays queued", extra={"request_id": asked.request_id, "error": error_site(error)})
