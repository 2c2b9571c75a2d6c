"""Payloads over the limit of the bus, kept in pieces in the stream PAYLOADS until they are read, or their time is up.

Whoever stores one may do so again: a piece replaces itself. The stream is full by its bytes alone and then refuses.
"""

import asyncio
import hashlib
import logging
from typing import Final

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.topology import Topology
from tokenbus_schemas import ErrorCode, PayloadRef, RequestError, RequestId, Tenant, refer
from tokenbus_schemas.headers import PAYLOAD

_log = logging.getLogger(__name__)

_RETRY_FOR_S: Final = 5.0
_ON_THE_WAY_S: Final = 1.0
"""In a cluster the replica that answers a read may not have what its leader has acknowledged."""
_PAUSE_S: Final = 0.05


class Payloads:
    """Keeps, fetches and drops payloads. Methods raise `BusError`, and may be repeated."""

    def __init__(self, bus: Bus, *, topology: Topology) -> None:
        self._bus = bus
        self._subjects = topology.subjects
        self._stream = topology.payloads.name

    async def keep_piece(
        self, tenant: Tenant, request_id: RequestId, *, ref: PayloadRef, index: int, piece: bytes, ttl_s: float
    ) -> None:
        """Raises `StreamFullError` where no more payloads are taken. `ttl_s`: how long it is kept at most."""
        await self._bus.publish_stored(
            self._subjects.piece(tenant, request_id, ref.sha256, index), piece, ttl_s=ttl_s, retry_for_s=_RETRY_FOR_S
        )

    async def keep(self, tenant: Tenant, request_id: RequestId, *, payload: bytes, ttl_s: float) -> PayloadRef:
        """The whole of one. Raises `StreamFullError`; what was stored of it by then expires."""
        ref = await asyncio.to_thread(refer, payload, piece_bytes=self._bus.max_payload // 2)
        for index in range(ref.pieces):
            piece = ref.piece(payload, index=index)
            await self.keep_piece(tenant, request_id, ref=ref, index=index, piece=piece, ttl_s=ttl_s)
        return ref

    async def fetch(self, tenant: Tenant, request_id: RequestId, *, ref: PayloadRef) -> bytes:
        """The payload, as it was referred to.

        Raises `RequestError`: it was never stored, has expired, or is not what the reference says.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ON_THE_WAY_S
        while len(pieces := await self._pieces(tenant, request_id, ref=ref)) < ref.pieces:
            if loop.time() >= deadline:
                raise _not_found(f"{ref.pieces - len(pieces)} of {ref.pieces} pieces are not stored, or have expired")
            await asyncio.sleep(_PAUSE_S)
        payload = b"".join(pieces[index] for index in range(ref.pieces))
        # Away from the event loop: this may take a tenth of a second, in which others would get no token.
        if (await asyncio.to_thread(hashlib.sha256, payload)).hexdigest() != ref.sha256:
            raise _not_found("what is stored has another digest")
        return payload

    async def drop(self, tenant: Tenant, request_id: RequestId, *, ref: PayloadRef) -> None:
        """Nobody will fetch it again. What can not be dropped just now expires."""
        try:
            await self._bus.purge_subject(self._stream, self._subjects.pieces(tenant, request_id, ref.sha256))
        except BusError as error:
            _log.warning("a payload stays until it expires", extra={"error": error_site(error)})

    async def _pieces(self, tenant: Tenant, request_id: RequestId, *, ref: PayloadRef) -> dict[int, bytes]:
        """Those that are stored, of those that there should be: never more than the reference says."""
        subject = self._subjects.pieces(tenant, request_id, ref.sha256)
        pieces: dict[int, bytes] = {}
        start = 1
        while True:
            page = await self._bus.read_stored(self._stream, subject, start_sequence=start)
            for message in page.messages:
                index = int(message.subject.rpartition(".")[2])
                if index < ref.pieces and len(message.data) == ref.piece_size(index):
                    pieces[index] = message.data
            if not page.remaining or not page.messages:
                return pieces
            start = page.next_sequence


def _not_found(problem: str) -> RequestError:
    return RequestError(
        ErrorCode.PAYLOAD_NOT_FOUND, f"header {PAYLOAD}: {problem}; store the payload, then send again", param=PAYLOAD
    )
