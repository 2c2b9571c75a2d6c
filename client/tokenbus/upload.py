"""Hands a request over the bus's limit to the router, piece by piece; what is published then refers to it."""

import asyncio
from typing import Final

from tokenbus.bus import Bus
from tokenbus.calls import call
from tokenbus.errors import BusTimeoutError, NoRespondersError, NoRouterError, OverloadedError, RequestRefusedError
from tokenbus_schemas import ErrorBody, ErrorCode, PayloadRef, PayloadReply, refer
from tokenbus_schemas.headers import PAYLOAD, PIECE, TIMEOUT

TRIES: Final = 3
PIECE_TIMEOUT_S: Final = 5.0
_RESERVED_BYTES: Final = 4096
"""Of max_payload, for headers."""
_RETRY_AFTER_S: Final = 5.0
_PAUSE_S: Final = 0.2


async def upload(bus: Bus, payload: bytes, *, subject: str, timeout_s: str) -> PayloadRef:
    """Returns when all of it is stored, to be repeated at will. `subject`: `Subjects.payloads`; `timeout_s`: of the
    request, as its header says.

    Raises `RequestRefusedError` (`OverloadedError`: no room for it), and `BusError`: the request was not sent.
    """
    # Half a message: small enough to share a connection with token streams.
    piece_bytes = max(1, min(bus.max_payload // 2, bus.max_payload - _RESERVED_BYTES))
    ref = await asyncio.to_thread(refer, payload, piece_bytes=piece_bytes)
    for index in range(ref.pieces):
        headers = {PAYLOAD: ref.to_wire(), PIECE: str(index), TIMEOUT: timeout_s}
        await _keep(bus, ref.piece(payload, index=index), subject=subject, headers=headers)
    return ref


async def _keep(bus: Bus, piece: bytes, *, subject: str, headers: dict[str, str]) -> None:
    for tries_left in reversed(range(TRIES)):
        try:
            reply = await call(
                bus, subject, payload=piece, reply=PayloadReply, timeout_s=PIECE_TIMEOUT_S, headers=headers
            )
        except (BusTimeoutError, NoRespondersError) as error:
            if not tries_left:
                raise NoRouterError(subject) if isinstance(error, NoRespondersError) else error from error
            await asyncio.sleep(_PAUSE_S)
        else:
            if reply.error is None:
                return
            raise _refusal(reply.error)


def _refusal(error: dict[str, object]) -> RequestRefusedError:
    code = next((known for known in ErrorCode if known == error.get("type")), ErrorCode.INTERNAL_ERROR)
    if code is ErrorCode.OVERLOADED:
        return OverloadedError(retry_after_s=_RETRY_AFTER_S, full="the store of large requests")
    param = error.get("param")
    return RequestRefusedError(
        ErrorBody(code, str(error.get("message") or "it gives no reason"), param if isinstance(param, str) else None)
    )
