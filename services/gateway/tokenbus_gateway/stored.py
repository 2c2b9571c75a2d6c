"""What can be done with a response by its id: read it, watch it, list its input, cancel it, delete it.

Any gateway serves any response of the caller's tenant: what is kept is on the bus. A response that was sent with
`store` false can be watched and cancelled, but not read; compacting is refused by name.
"""

import asyncio
from typing import Final
from urllib.parse import parse_qs

import orjson
from pydantic import ValidationError

from tokenbus_gateway.api_errors import ApiError, RefusedError, response_not_found
from tokenbus_gateway.creations import response_json
from tokenbus_gateway.endpoint import Endpoint, Gate
from tokenbus_gateway.exchange import Exchange
from tokenbus_gateway.relay import last_event
from tokenbus_gateway.sse import ResponsesSSE
from tokenbus_gateway.streaming import stream_out
from tokenbus_schemas import (
    ErrorCode,
    EventLine,
    InvalidTokenError,
    RequestError,
    RequestId,
    ResponseCall,
    Tenant,
    parse_response_id,
    response_id,
)
from tokenbus_schemas.requests import first_problem

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
            reply = await self.gate.bridge.stored(caller.tenant, identity, ResponseCall(action="get"))
            await exchange.reply(orjson.dumps(reply.response))

    async def _watch(self, exchange: Exchange, tenant: Tenant, identity: RequestId, *, after: int) -> EventLine:
        async with self.gate.bridge.attach(tenant, identity, after=after) as answer:
            exchange.wire.watch(answer.feed.client_gone)
            encoder = _StoredSSE(after=after)
            return await stream_out(exchange, answer, encoder=encoder, write_s=self.gate.times.write_s)


class DeleteResponse(Endpoint):
    """DELETE /v1/responses/{id}. One that runs is cancelled first."""

    route = "/v1/responses/{response}"

    async def serve(self, exchange: Exchange) -> None:
        caller = exchange.caller
        assert caller is not None
        identity = wanted_response(exchange)
        await self.gate.bridge.stored(caller.tenant, identity, ResponseCall(action="delete"))
        await exchange.reply(orjson.dumps({"id": response_id(identity), "object": "response", "deleted": True}))


class ListInputItems(Endpoint):
    """GET /v1/responses/{id}/input_items?limit=&order=&after=&include=."""

    route = "/v1/responses/{response}/input_items"

    async def serve(self, exchange: Exchange) -> None:
        caller = exchange.caller
        assert caller is not None
        reply = await self.gate.bridge.stored(caller.tenant, wanted_response(exchange), _list_call(exchange))
        items = reply.items or []
        page = {
            "object": "list",
            "data": items,
            "first_id": items[0]["id"] if items else None,
            "last_id": items[-1]["id"] if items else None,
            "has_more": reply.more,
        }
        await exchange.reply(orjson.dumps(page))


def _list_call(exchange: Exchange) -> ResponseCall:
    """What the query asks for. Raises `RequestError`, which names the parameter."""
    query = parse_qs(exchange.query.decode("latin-1"))
    asked: dict[str, object] = {name: query[name][-1] for name in ("order", "after") if name in query}
    if (limit := query.get("limit")) is not None:
        asked["limit"] = int(limit[-1]) if limit[-1].isascii() and limit[-1].isdigit() and len(limit[-1]) < 9 else limit
    # openai 3.54 writes lists as `include[]`, others as `include`.
    asked["include"] = [*query.get("include", []), *query.get("include[]", [])]
    try:
        return ResponseCall.model_validate({"action": "input_items", **asked})
    except ValidationError as error:
        raise first_problem(error) from error


class CancelResponse(Endpoint):
    """POST /v1/responses/{id}/cancel. OpenAI cancels background responses only; here each one can be."""

    route = "/v1/responses/{response}/cancel"

    async def serve(self, exchange: Exchange) -> None:
        caller = exchange.caller
        assert caller is not None
        identity = wanted_response(exchange)
        status = await self.gate.bridge.cancel(caller.tenant, identity)
        if status == "unknown":
            raise RefusedError(response_not_found(response_id(identity)))
        await exchange.reply(response_json(await self._end(caller.tenant, identity)))

    async def _end(self, tenant: Tenant, identity: RequestId) -> EventLine:
        try:
            async with asyncio.timeout(_CANCEL_WAIT_S), self.gate.bridge.attach(tenant, identity, after=-1) as answer:
                return await last_event(answer)
        except TimeoutError as error:
            problem = "the response still runs; it has been cancelled, look again in a moment"
            raise RequestError(ErrorCode.OVERLOADED, problem) from error


class NotServed(Endpoint):
    """An operation that is known and not served yet."""

    def __init__(self, gate: Gate, *, route: str, operation: str, instead: str) -> None:
        super().__init__(gate)
        self.route = route
        self._problem = f"{operation} is not supported yet; {instead}"

    async def serve(self, exchange: Exchange) -> None:
        raise RequestError(ErrorCode.UNSUPPORTED_VALUE, self._problem)


def wanted_response(exchange: Exchange) -> RequestId:
    """The request id in the path's response id. Raises `RefusedError` (404)."""
    wanted = exchange.path_parameters["response"]
    try:
        return parse_response_id(wanted)
    except InvalidTokenError as error:
        raise RefusedError(response_not_found(wanted)) from error


def _number(text: str) -> int:
    if text == "-1" or (text.isascii() and text.isdigit() and len(text) <= 16):
        return int(text)
    problem = "starting_after: must be a sequence number, 0 or more"
    raise RequestError(ErrorCode.INVALID_VALUE, problem, param="starting_after")
