"""Finds what a request continues: its own part of each response from the bucket `responses`, the answer from RESULTS.

A record names all responses before its own, so a conversation of any length takes three turns of reading, not one for
each response.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import orjson

from tokenbus.bus import Bus
from tokenbus.errors import BusError
from tokenbus_chassis.terminal import Ended, parse_end
from tokenbus_chassis.topology import Topology
from tokenbus_router.conversation import (
    MAX_CHAIN,
    History,
    Link,
    check_status,
    history,
    not_continuable,
    previous_not_found,
)
from tokenbus_router.records import Records
from tokenbus_schemas import (
    ErrorCode,
    EventLine,
    InvalidTokenError,
    RequestError,
    RequestId,
    StoredRequest,
    Tenant,
    parse_response_id,
    response_id,
)
from tokenbus_translate.json_value import JsonObject, as_object

_AT_ONCE: Final = 64
"""Responses read beside each other."""
_STILL_STORING_S: Final = 1.0
"""A response that has ended has a record: it may be on its way."""
_PAUSE_S: Final = 0.02


class Conversations:
    """Reads them."""

    def __init__(self, bus: Bus, *, topology: Topology, records: Records) -> None:
        self._bus = bus
        self._subjects = topology.subjects
        self._results = topology.results.name
        self._records = records

    async def end(self, tenant: Tenant, request_id: RequestId) -> EventLine | None:
        """The terminal event, if there is one. Raises `BusError`."""
        subject = self._subjects.result(tenant, request_id)
        found = await self._bus.last_message(self._results, subject)
        if found is None:
            found = await self._bus.last_message_at_leader(self._results, subject)
        end = None if found is None else parse_end(found)
        return EventLine(end.line) if isinstance(end, Ended) else None

    async def before(self, tenant: Tenant, previous: str) -> History:
        """Everything up to the response `previous`, its output included.

        Raises `RequestError` where it, or one before it, is not there any more, was never stored, or is another
        tenant's; where it has not ended, or ended badly; where the conversation is too long. Raises `BusError`.
        """
        try:
            request_id = parse_response_id(previous)
        except InvalidTokenError as error:
            raise previous_not_found(previous) from error
        record = await self.settled(tenant, request_id)
        if record is None:
            raise previous_not_found(previous)
        if len(record.before) >= MAX_CHAIN:
            raise _too_long(f"it has {MAX_CHAIN} responses")
        links = await self.earlier(tenant, record)
        links.append(await self._link(tenant, request_id, record=record))
        return history(links)

    async def earlier(self, tenant: Tenant, record: StoredRequest) -> list[Link]:
        """The responses that a request continues, the oldest first. Raises as `before`."""
        links: list[Link] = []
        size = 0
        earlier = [RequestId(name) for name in record.before]
        for start in range(0, len(earlier), _AT_ONCE):
            some = await self._links(tenant, earlier[start : start + _AT_ONCE])
            size += sum(_size(link) for link in some)
            links += some
            if size > self._bus.max_payload:
                raise _too_long(f"it is larger than the {self._bus.max_payload} bytes that the bus takes")
        return links

    async def settled(self, tenant: Tenant, request_id: RequestId) -> StoredRequest | None:
        """The record, or None; waits for that of a response which has just ended. Raises `BusError`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STILL_STORING_S
        while (record := await self._records.find(tenant, request_id)) is None:
            if loop.time() >= deadline or await self.end(tenant, request_id) is None:
                return None
            await asyncio.sleep(_PAUSE_S)
        return record

    async def _links(self, tenant: Tenant, request_ids: Sequence[RequestId]) -> list[Link]:
        async def find(request_id: RequestId) -> Link | RequestError | BusError:
            try:
                record = await self._records.find(tenant, request_id)
                if record is None:
                    raise previous_not_found(response_id(request_id))
                return await self._link(tenant, request_id, record=record)
            except (RequestError, BusError) as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(find(request_id)) for request_id in request_ids]
        links: list[Link] = []
        for task in tasks:
            found = task.result()
            if not isinstance(found, Link):
                raise found
            links.append(found)
        return links

    async def _link(self, tenant: Tenant, request_id: RequestId, *, record: StoredRequest) -> Link:
        end = await self.end(tenant, request_id)
        if end is None:
            raise not_continuable(
                response_id(request_id), problem="it has not ended yet, or its answer is not kept any more"
            )
        response: JsonObject = as_object(end.data.get("response")) or {}
        check_status(response, response_id=response_id(request_id))
        return Link(request_id, record.input, response)


def _size(link: Link) -> int:
    return len(orjson.dumps([link.input, link.response.get("output")]))


def _too_long(problem: str) -> RequestError:
    return RequestError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"previous_response_id: the conversation is too long: {problem}; begin a new one with what matters of it",
        param="previous_response_id",
    )
