"""What can be done with a response by its id: read it, watch it, cancel it.

Any gateway serves any response of the caller's tenant: what is kept is on the bus. The rest (its input, deleting it,
compacting) needs state that the bus does not keep yet; `not_served` refuses it by name.
"""

import asyncio
from typing import Final
from urllib.parse import parse_qs

from tokenbus.errors import UnknownRequestError
from tokenbus_gateway.api_errors import ApiError, RefusedError, response_not_found
from tokenbus_gateway.creations import response_json
from tokenbus_gateway.endpoint import Endpoint, Gate
from tokenbus_gateway.exchange import Exchange
from tokenbus_gateway.relay import last_event
from tokenbus_gateway.sse import OPENERS, ResponsesSSE
from tokenbus_gateway.streaming import stream_out
from tokenbus_schemas import ErrorCode, EventLine, InvalidTokenError, RequestError, RequestId, Tenant
from tokenbus_schemas.subjects import request_id

_PREFIX: Final = "resp_"
_CANCEL_WAIT_S: Final = 5.0
"""From the cancel to the end of the response; its executor ends it within a second."""


class _StoredSSE(ResponsesSSE):
    """Of a response that exists: that it failed is an answer."""

    def refusal(self, terminal: EventLine) -> ApiError | None:
        return None


class GetResponse(Endpoint):
    """GET /v1/responses/{id}, and with `?stream=true&starting_after=` its events from any number on."""

    route = "/v1/responses/{response}"

    async def serve(self, exchange: Exchange) -> None:
        caller = exchange.caller
        assert caller is not None
        identity = wanted_response(exchange)
        query = parse_qs(exchange.query.decode("latin-1"))
        if exchange.method == "GET" and query.get("stream", ["false"])[-1].lower() == "true":
            after = _number(query.get("starting_after", ["-1"])[-1])
            await self._watch(exchange, caller.tenant, identity, after=after)
        else:
            await exchange.reply(response_json(await newest_lifecycle(self.gate, caller.tenant, identity)))

    async def _watch(self, exchange: Exchange, tenant: Tenant, identity: RequestId, *, after: int) -> EventLine:
        async with self.gate.bridge.attach(tenant, identity, after=after) as answer:
            exchange.wire.watch(answer.feed.client_gone)
            encoder = _StoredSSE(after=after)
            return await stream_out(exchange, answer, encoder=encoder, write_s=self.gate.times.write_s)


class CancelResponse(Endpoint):
    """POST /v1/responses/{id}/cancel. OpenAI cancels background responses only; here each one can be."""

    route = "/v1/responses/{response}/cancel"

    async def serve(self, exchange: Exchange) -> None:
        caller = exchange.caller
        assert caller is not None
        identity = wanted_response(exchange)
        status = await self.gate.bridge.cancel(caller.tenant, identity)
        if status == "unknown":
            raise RefusedError(response_not_found(f"{_PREFIX}{identity}"))
        await exchange.reply(response_json(await self._end(caller.tenant, identity)))

    async def _end(self, tenant: Tenant, identity: RequestId) -> EventLine:
        try:
            async with asyncio.timeout(_CANCEL_WAIT_S), self.gate.bridge.attach(tenant, identity, after=-1) as answer:
                return await last_event(answer)
        except TimeoutError:
            return await newest_lifecycle(self.gate, tenant, identity)


class NotServed(Endpoint):
    """An operation that is known and not served yet."""

    def __init__(self, gate: Gate, *, route: str, operation: str, instead: str) -> None:
        super().__init__(gate)
        self.route = route
        self._problem = f"{operation} is not supported yet; {instead}"

    async def serve(self, exchange: Exchange) -> None:
        raise RequestError(ErrorCode.UNSUPPORTED_VALUE, self._problem)


async def newest_lifecycle(gate: Gate, tenant: Tenant, identity: RequestId) -> EventLine:
    """The terminal event, or the first one that holds the response. Raises `UnknownRequestError`."""
    replay = gate.bridge.replay(tenant, identity)
    page = await replay.page(after=-1)
    first = next((line for line in page.lines if line.type in OPENERS), None)
    last = page.lines[-1] if page.lines and page.lines[-1].is_terminal else None
    if last is None and page.more:
        last = await replay.terminal()
    if (found := last or first) is None:
        raise UnknownRequestError(identity)
    return found


def wanted_response(exchange: Exchange) -> RequestId:
    """The request id in the path's response id. Raises `RefusedError` (404)."""
    wanted = exchange.path_parameters["response"]
    try:
        if wanted.startswith(_PREFIX):
            return request_id(wanted.removeprefix(_PREFIX))
    except InvalidTokenError as error:
        raise RefusedError(response_not_found(wanted)) from error
    raise RefusedError(response_not_found(wanted))


def _number(text: str) -> int:
    if text == "-1" or (text.isascii() and text.isdigit() and len(text) <= 16):
        return int(text)
    problem = "starting_after: must be a sequence number, 0 or more"
    raise RequestError(ErrorCode.INVALID_VALUE, problem, param="starting_after")
