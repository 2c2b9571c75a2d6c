"""The replay service: joins what EVENTS captured with the terminal event that RESULTS has."""

from typing import Final

from pydantic import ValidationError

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Ended, Fence, parse_end
from tokenbus_chassis.topology import Topology
from tokenbus_router.limits import RESERVED_BYTES
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.replay_page import NO_PAGE, PageBuilder
from tokenbus_router.snapshot import snapshot
from tokenbus_schemas import EventLine, MalformedEventError, ReplayRequest, RequestId, Tenant, split_message
from tokenbus_schemas.requests import first_problem

_BATCH: Final = 512
"""Messages read at once. A page of single tokens needs two reads, one of bursts needs one."""


class Replay:
    """Answers replay calls."""

    def __init__(self, bus: Bus, *, topology: Topology, notes: QueueNotes) -> None:
        self._bus = bus
        self._topology = topology
        self._notes = notes

    async def page(self, tenant: Tenant, request_id: RequestId, *, payload: bytes) -> bytes:
        """The JSON of a `ReplayPage`. Raises `RequestError` for a payload that is no question, and `BusError`."""
        question = _parse(payload)
        subjects = self._topology.subjects
        # RESULTS first: whatever was published before an end that we see is in EVENTS by the time we read there.
        result = await self._bus.last_message(self._topology.results.name, subjects.result(tenant, request_id))
        end = None if result is None else parse_end(result)
        if isinstance(end, Fence) and end.deleted:
            return NO_PAGE
        if question.mode == "snapshot" and not isinstance(end, Ended):
            page = await self._snapshot(subjects.request_events(tenant, request_id))
            if page is not None:
                return page
        builder = PageBuilder(
            after=question.after,
            limit=question.limit,
            max_bytes=self._bus.max_payload // 2,
            max_line_bytes=self._bus.max_payload - RESERVED_BYTES,
            end=end.line if isinstance(end, Ended) else None,
        )
        if question.mode == "snapshot" and isinstance(end, Ended):
            return builder.close(otherwise="streaming")  # the end alone: it holds everything
        await self._feed(builder, subject=subjects.request_events(tenant, request_id))
        if builder.empty and end is None:
            note = await self._notes.find(tenant, request_id)
            queued = note is not None and note.status == "queued"
            return builder.close(otherwise="queued" if queued else "unknown")
        return builder.close(otherwise="streaming")

    async def _snapshot(self, subject: str) -> bytes | None:
        """A page of one event; None where there is none to be had."""
        lines: list[EventLine] = []
        start = 1
        while True:
            stored = await self._bus.read_stored(
                self._topology.events.name, subject, start_sequence=start, batch=_BATCH
            )
            for message in stored.messages:
                lines += _lines(message.data)
            if not stored.remaining or not stored.messages:
                break
            start = stored.next_sequence
        try:
            event = snapshot(lines)
        except MalformedEventError:
            return None
        if event is None or len(event) > self._bus.max_payload - RESERVED_BYTES:
            return None
        return b'{"state":"streaming","more":true,"events":[%b]}' % event

    async def _feed(self, builder: PageBuilder, *, subject: str) -> None:
        start = 1
        while not builder.full:
            stored = await self._bus.read_stored(
                self._topology.events.name, subject, start_sequence=start, batch=_BATCH
            )
            for message in stored.messages:
                builder.feed(message.data)
            if not stored.remaining or not stored.messages:
                return
            start = stored.next_sequence


def _lines(message: bytes) -> list[EventLine]:
    try:
        return split_message(message)
    except MalformedEventError:
        return []


def _parse(payload: bytes) -> ReplayRequest:
    try:
        return ReplayRequest.model_validate_json(payload or b"{}")
    except ValidationError as error:
        raise first_problem(error) from error
