"""Takes the pieces of requests over the bus's limit, for clients, who may not touch streams themselves.

Nothing is remembered between two pieces: each says what it is a piece of, and any router takes it.
"""

from collections.abc import Mapping
from typing import Final

from tokenbus.errors import StreamFullError
from tokenbus_chassis.payloads import Payloads
from tokenbus_schemas import (
    ErrorCode,
    PayloadReply,
    RequestError,
    RequestId,
    Tenant,
    parse_payload,
    parse_piece,
    parse_request_headers,
)
from tokenbus_schemas.headers import PAYLOAD, PIECE, REQUEST_ID
from tokenbus_schemas.work import WORK_OUTLIVES_S

_KEPT: Final = PayloadReply().model_dump_json().encode()


class Uploads:
    """Answers calls on `payloads`."""

    def __init__(self, payloads: Payloads, *, max_bytes: int, default_timeout_s: float) -> None:
        """`max_bytes`: of one request. `default_timeout_s`: of requests that name none."""
        self._payloads = payloads
        self._max_bytes = max_bytes
        self._default_timeout_s = default_timeout_s

    async def keep(self, tenant: Tenant, request_id: RequestId, *, headers: Mapping[str, str], payload: bytes) -> bytes:
        """The JSON of a `PayloadReply`, once the piece is stored. Raises `RequestError` and `BusError`."""
        ref = parse_payload(headers.get(PAYLOAD, ""))
        if ref.size > self._max_bytes:
            problem = f"the request is {ref.size} bytes and this router takes {self._max_bytes}; send less input"
            raise RequestError(ErrorCode.PAYLOAD_TOO_LARGE, problem)
        index = parse_piece(headers.get(PIECE, ""), of=ref)
        if len(payload) != ref.piece_size(index):
            problem = f"piece {index} has {len(payload)} bytes; by its {PAYLOAD} it has {ref.piece_size(index)}"
            raise RequestError(ErrorCode.INVALID_VALUE, problem)
        timeout_s = parse_request_headers({**headers, REQUEST_ID: request_id}).timeout_s or self._default_timeout_s
        try:
            await self._payloads.keep_piece(
                tenant, request_id, ref=ref, index=index, piece=payload, ttl_s=timeout_s + WORK_OUTLIVES_S
            )
        except StreamFullError as error:
            problem = "there is no room for large requests just now; send it again later"
            raise RequestError(ErrorCode.OVERLOADED, problem) from error
        return _KEPT
