"""The service of stored responses: read one as it stands, list its input, delete it.

Of a response that was never stored, and of another tenant's, everything says the same as of one that never was.
"""

import asyncio
import logging
from typing import Final

import orjson
from pydantic import ValidationError

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Ended, Fence, TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_router.control import Control
from tokenbus_router.conversations import Conversations
from tokenbus_router.input_list import input_list, page_of
from tokenbus_router.records import Records, empty
from tokenbus_router.unanswered import Asked, standing
from tokenbus_schemas import (
    Channel,
    ErrorCode,
    EventLine,
    RequestError,
    RequestId,
    ResponseCall,
    StoredRequest,
    Tenant,
    response_id,
    split_message,
)
from tokenbus_schemas.requests import first_problem
from tokenbus_translate.json_value import JsonObject, as_object

_log = logging.getLogger(__name__)

_END_WITHIN_S: Final = 3.0
"""From the cancel of a running response to its end; its executor ends it within a second."""
_PAUSE_S: Final = 0.05


class StoredResponses:
    """Answers the calls."""

    def __init__(
        self,
        bus: Bus,
        *,
        topology: Topology,
        terminal: TerminalWriter,
        control: Control,
        records: Records,
        conversations: Conversations,
    ) -> None:
        self._bus = bus
        self._topology = topology
        self._terminal = terminal
        self._control = control
        self._records = records
        self._conversations = conversations

    async def call(self, tenant: Tenant, request_id: RequestId, *, payload: bytes) -> bytes:
        """The JSON of a `ResponseReply`. Raises `RequestError` and `BusError`."""
        try:
            call = ResponseCall.model_validate_json(payload or b"{}")
        except ValidationError as error:
            raise first_problem(error) from error
        stands = await self._terminal.read(tenant, request_id)
        record = await self._conversations.settled(tenant, request_id)
        if isinstance(stands, Fence) and stands.deleted:
            if call.action == "delete":  # one that was begun and broken off
                await self._erase(tenant, request_id)
            raise _not_found(request_id)
        if record is None:
            raise _not_found(request_id)
        match call.action:
            case "get":
                return orjson.dumps({"response": await self._standing(tenant, request_id, record, stands=stands)})
            case "input_items":
                links = await self._conversations.earlier(tenant, record)
                items = input_list(links, record=record, request_id=request_id)
                page = page_of(items, call=call, max_bytes=self._bus.max_payload // 2)
                return orjson.dumps({"items": page.items, "more": page.more})
            case "delete":
                await self._delete(tenant, request_id, stands=stands)
                return orjson.dumps({"deleted": True})

    async def _standing(
        self, tenant: Tenant, request_id: RequestId, record: StoredRequest, *, stands: Ended | Fence | None
    ) -> JsonObject:
        if isinstance(stands, Ended):
            return as_object(EventLine(stands.line).data.get("response")) or {}
        subject = self._topology.subjects.request_events(tenant, request_id)
        newest = await self._bus.last_message(self._topology.events.name, subject)
        last = -1 if newest is None else split_message(newest.data)[-1].sequence_number
        begun = stands is not None or last >= record.announced
        asked = Asked(tenant, request_id, Channel(record.channel), record.model, record.accepted_at)
        return standing(asked, status="in_progress" if begun else "queued", echo=record.request)

    async def _delete(self, tenant: Tenant, request_id: RequestId, *, stands: Ended | Fence | None) -> None:
        """A running one is cancelled first: whoever watches it sees its end."""
        end = stands if isinstance(stands, Ended) else await self._cancelled(tenant, request_id)
        if not await self._terminal.delete(tenant, request_id, end=end):
            raise _not_found(request_id)
        await self._erase(tenant, request_id)
        _log.info("response deleted", extra={"request_id": request_id, "tenant": tenant})

    async def _cancelled(self, tenant: Tenant, request_id: RequestId) -> Ended:
        await self._control.cancel(tenant, request_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _END_WITHIN_S
        while not isinstance(stands := await self._terminal.read(tenant, request_id), Ended):
            if loop.time() >= deadline:
                problem = "the response still runs; it has been cancelled, delete it again in a moment"
                raise RequestError(ErrorCode.OVERLOADED, problem)
            await asyncio.sleep(_PAUSE_S)
        return stands

    async def _erase(self, tenant: Tenant, request_id: RequestId) -> None:
        """The events, what its tools wrote down, and last what was asked: all may be repeated."""
        topology = self._topology
        events = topology.subjects.request_events(tenant, request_id)
        await empty(self._bus, stream=topology.events.name, subject=events)
        checkpoints = f"{topology.checkpoints.subjects[0].removesuffix('>')}{tenant}.{request_id}.*"
        await empty(self._bus, stream=topology.checkpoints.name, subject=checkpoints)
        queued = topology.subjects.queued(tenant, request_id)  # a note that was written after the end
        await empty(self._bus, stream=topology.results.name, subject=queued)
        await self._records.delete(tenant, request_id)


def _not_found(request_id: RequestId) -> RequestError:
    message = f"Response with id '{response_id(request_id)}' not found."
    return RequestError(ErrorCode.RESPONSE_NOT_FOUND, message)
