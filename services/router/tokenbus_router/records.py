"""Writes and reads what is kept of requests whose response is stored: one `StoredRequest` each.

A request counts as taken only when its record is stored: what can be referred to later must be there.
"""

import logging
from typing import Final

from pydantic import ValidationError

from tokenbus.bus import Bus, StreamSpec
from tokenbus.errors import PayloadTooLargeError, WrongLastSequenceError
from tokenbus_router.unanswered import Asked
from tokenbus_schemas import RequestId, StoredRequest, Tenant

_log = logging.getLogger(__name__)

_RETRY_FOR_S: Final = 5.0


class Records:
    """The records, in one bucket."""

    def __init__(self, bus: Bus, *, bucket: StreamSpec) -> None:
        """`bucket`: the stream that is the bucket."""
        self._bus = bus
        self._stream = bucket.name
        self._prefix = bucket.subjects[0].removesuffix(">")

    async def keep(self, asked: Asked, *, record: bytes) -> None:
        """Store the record, unless the request has one: the first stands, as its answer does.

        One that is too large for the bus is not stored: its response is not found later. Raises `BusError`.
        """
        try:
            await self._bus.publish_stored(
                self._subject(asked.tenant, asked.request_id),
                record,
                expected_last_subject_sequence=0,
                retry_for_s=_RETRY_FOR_S,
            )
        except WrongLastSequenceError:
            return
        except PayloadTooLargeError as error:
            extra = {"request_id": asked.request_id, "tenant": asked.tenant, "size": error.size}
            _log.warning("a request is too large to be kept; its response can not be continued", extra=extra)

    async def find(self, tenant: Tenant, request_id: RequestId) -> StoredRequest | None:
        """None where nothing is kept of such a request. Raises `BusError`."""
        subject = self._subject(tenant, request_id)
        found = await self._bus.last_message(self._stream, subject)
        if found is None:  # a replica may be a moment behind
            found = await self._bus.last_message_at_leader(self._stream, subject)
        try:
            return None if found is None else StoredRequest.model_validate_json(found.data)
        except ValidationError:
            return None

    async def delete(self, tenant: Tenant, request_id: RequestId) -> None:
        """Raises `BusError`."""
        await empty(self._bus, stream=self._stream, subject=self._subject(tenant, request_id))

    def _subject(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self._prefix}{tenant}.{request_id}"


async def empty(bus: Bus, *, stream: str, subject: str) -> None:
    """Delete whatever the stream has on `subject`, which may have wildcards. Raises `BusError`."""
    last = await bus.last_message_at_leader(stream, subject)
    if last is not None:
        await bus.purge_subject(stream, subject, before_sequence=last.sequence + 1)
