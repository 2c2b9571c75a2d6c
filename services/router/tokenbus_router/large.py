"""Requests and work orders over the bus's limit: fetched when they come in, stored again as work, dropped in between.

Each takes several times its size in memory while it is worked on, so only so many are at once; others wait.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import orjson

from tokenbus.errors import StreamFullError
from tokenbus_chassis.payloads import Payloads
from tokenbus_router.intake import Admitted, Arrival, Sender, by_reference
from tokenbus_schemas import ErrorCode, RequestError, parse_payload
from tokenbus_schemas.headers import PAYLOAD
from tokenbus_schemas.work import WORK_OUTLIVES_S


class LargeRequests:
    """What a router does with them. Methods raise `BusError`, and may be repeated."""

    def __init__(self, payloads: Payloads, *, max_bytes: int, slots: int) -> None:
        self._payloads = payloads
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(slots)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Enter it before anything is fetched, and stay until it was handed on."""
        return self._turns

    async def fetched(self, arrival: Arrival, *, sender: Sender) -> Arrival:
        """The arrival with its payload. Raises `RequestError` for a wrong reference, or one to nothing."""
        ref = parse_payload(arrival.headers[PAYLOAD])
        if ref.size > self._max_bytes:
            raise _too_large(ref.size, limit=self._max_bytes)
        payload = await self._payloads.fetch(sender.tenant, sender.request_id, ref=ref)
        return replace(arrival, payload=payload)

    async def drop(self, arrival: Arrival, *, sender: Sender) -> None:
        """The request has been handed on, or has ended."""
        await self._payloads.drop(sender.tenant, sender.request_id, ref=parse_payload(arrival.headers[PAYLOAD]))

    async def referred(self, admitted: Admitted) -> Admitted:
        """The work with its request stored apart. Raises `RequestError`: it is too large, or there is no room."""
        payload = orjson.dumps(admitted.request)
        if len(payload) > self._max_bytes:
            raise _too_large(len(payload), limit=self._max_bytes)
        asked = admitted.asked
        ttl_s = admitted.deadline - time.time() + WORK_OUTLIVES_S
        try:
            ref = await self._payloads.keep(asked.tenant, asked.request_id, payload=payload, ttl_s=ttl_s)
        except StreamFullError as error:
            problem = "there is no room for large requests just now; send it again later"
            raise RequestError(ErrorCode.OVERLOADED, problem) from error
        return by_reference(admitted, ref=ref)


def _too_large(size: int, *, limit: int) -> RequestError:
    problem = (
        f"the request is {size} bytes, with what it continues, and the limit is {limit}; send a shorter input, or "
        "begin a new conversation"
    )
    return RequestError(ErrorCode.PAYLOAD_TOO_LARGE, problem)
