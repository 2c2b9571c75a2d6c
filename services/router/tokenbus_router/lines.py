"""Admission to WORK: a tenant that has all the work in a queue that it may have waits in a line of its own.

    a place is free, nobody waits      published to WORK; what it costs is what it cost without lines
    else                               published to WAITING, where each tenant and queue is one subject, in order
    the line is full                   refused by the server

So however much one tenant sends, in front of another's request stand at most the places of each tenant. Work moves up
from its line as places become free: the routers look many times a second, but only while somebody waits. Everything
here may be repeated, by any number of routers and across crashes: what is counted is what the server holds, work has
the same message id in WAITING and in WORK, and a line is cut behind the last message that WORK has taken.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn

from tokenbus.bus import Bus, StoredAck, StoredMessage
from tokenbus.bus_stored import MESSAGE_ID, TTL
from tokenbus.error_site import error_site
from tokenbus.errors import BusError, StreamFullError
from tokenbus_chassis.topology import Topology
from tokenbus_router.intake import Admitted
from tokenbus_router.places import Move, Places
from tokenbus_schemas.headers import HANDED_ON
from tokenbus_schemas.subjects import WorkAddress
from tokenbus_schemas.work import WORK_OUTLIVES_S

_log = logging.getLogger(__name__)

_RETRY_FOR_S: Final = 5.0
"""How long work is offered again to a stream that is electing a leader, before the request goes back to its queue."""
_LOOK_S: Final = 0.05
"""Rhythm while somebody waits: a place that became free is empty for this long at most."""
_SCAN_S: Final = 1.0
"""Rhythm otherwise: how long a line that another router has made, or left behind, stays unseen."""
_BATCH: Final = 64


class Handed(NamedTuple):
    """Work that the server has."""

    work_sequence: int
    """In WORK; 0: it waits in line."""
    before: bool
    """The server had it already, for a request of the same id."""


class Lines:
    """Puts work into WORK, or in line; `advance` lets it move up for ever."""

    def __init__(self, bus: Bus, *, topology: Topology, places: Places) -> None:
        self._bus = bus
        self._subjects = topology.subjects
        self._work = topology.work.name
        self._waiting = topology.waiting.name
        self._places = places
        self._known: set[WorkAddress] = set()
        """Lines in which somebody waits, as far as we know."""
        self._fresh: set[WorkAddress] = set()
        """Those that we have put something into since we last began to look."""
        self._wake = asyncio.Event()

    async def admit(self, admitted: Admitted) -> Handed:
        """Hand the work on.

        Raises `StreamFullError` where the line is full, `PayloadTooLargeError` and other `BusError`.
        """
        line = WorkAddress(admitted.pool, admitted.priority_class, admitted.asked.tenant)
        if line not in self._known and not self._places.are_counted_by_us(line.tenant):
            try:
                stored = await self._publish(admitted, subject=self._subjects.work(*line))
                return Handed(stored.sequence, stored.duplicate)
            except StreamFullError:
                pass
        stored = await self._publish(admitted, subject=self._subjects.waiting(*line))
        self._fresh.add(line)
        if line not in self._known:
            self._known.add(line)
            self._wake.set()
            fields = {"tenant": line.tenant, "pool": line.pool, "class": line.priority_class}
            _log.info("work waits in line", extra=fields)
        return Handed(0, stored.duplicate)

    async def advance(self) -> NoReturn:
        """Lets work move up as places become free."""
        while True:
            self._wake.clear()
            try:
                await self._look()
            except* BusError as error:
                _log.warning("lines do not move", extra={"error": error_site(error)})
            # Routers should not all look at the same moment.
            pause_s = (_LOOK_S if self._known else _SCAN_S) * random.uniform(0.5, 1.0)  # noqa: S311
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        self._fresh.clear()
        waiting = await self._counts(self._waiting, "waiting")
        self._known = set(waiting) | self._fresh
        if not waiting:
            return
        taken = await self._counts(self._work, "work")
        async with asyncio.TaskGroup() as group:
            for move in self._places.moves(waiting=waiting, taken=taken, batch=_BATCH):
                group.create_task(self._move_up(move, waiting=waiting[move.line]))

    async def _counts(self, stream: str, kind: str) -> Mapping[WorkAddress, int]:
        counts = await self._bus.subject_counts(stream, f"{self._subjects.root}.{kind}.>")
        return {self._subjects.parse_work(subject): count for subject, count in counts.items()}

    async def _move_up(self, move: Move, *, waiting: int) -> None:
        subject = self._subjects.waiting(*move.line)
        page = await self._bus.read_stored(self._waiting, subject, batch=move.messages)
        last = moved = 0
        for message in page.messages:
            try:
                await self._publish_again(message, line=move.line)
            except StreamFullError:
                break
            last = message.sequence
            moved += 1
        if moved:
            await self._bus.purge_subject(self._waiting, subject, before_sequence=last + 1)
        if moved >= waiting and move.line not in self._fresh:
            self._known.discard(move.line)

    async def _publish(self, admitted: Admitted, *, subject: str) -> StoredAck:
        return await self._bus.publish_stored(
            subject,
            admitted.payload,
            headers=admitted.headers,
            message_id=admitted.message_id,
            ttl_s=admitted.deadline - time.time() + WORK_OUTLIVES_S,
            retry_for_s=_RETRY_FOR_S,
        )

    async def _publish_again(self, message: StoredMessage, *, line: WorkAddress) -> None:
        # An operator may have put it there, without headers: nothing in a line may end the router.
        ttl = message.headers.get(TTL, "").removesuffix("s")
        ends_at = message.timestamp_s + float(ttl) if ttl.isdigit() else None
        await self._bus.publish_stored(
            self._subjects.work(*line),
            message.data,
            headers={name: message.headers[name] for name in HANDED_ON if name in message.headers},
            message_id=message.headers.get(MESSAGE_ID),
            ttl_s=None if ends_at is None else ends_at - time.time(),
            retry_for_s=_RETRY_FOR_S,
        )
