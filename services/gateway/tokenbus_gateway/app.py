"""The routes."""

from importlib.metadata import version
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tokenbus_gateway.api_errors import ApiError
from tokenbus_gateway.creations import CreateChatCompletion, CreateResponse
from tokenbus_gateway.endpoint import Endpoint, Gate
from tokenbus_gateway.exchange import new_request_id
from tokenbus_gateway.models import GetModel, ListModels
from tokenbus_gateway.openapi import openapi_document
from tokenbus_gateway.stored import CancelResponse, DeleteResponse, GetResponse, ListInputItems, NotServed
from tokenbus_gateway.websocket import ResponsesSocket

_SEND_ALL: Final = "send the whole conversation in `input`"


class Application:
    """The ASGI application. The two busy routes are looked up; Starlette finds the others.

    Its router and middleware keep eight frames for each running request and wrap every `send`: 3 KiB of each stream.
    """

    def __init__(self, gate: Gate) -> None:
        self._busy: dict[tuple[str, str], Endpoint] = {
            ("POST", "/v1/responses"): CreateResponse(gate),
            ("POST", "/v1/chat/completions"): CreateChatCompletion(gate),
        }
        busy = [Route(path, endpoint, methods=[method]) for (method, path), endpoint in self._busy.items()]
        # Again among the routes, so that another method on the same path is answered with 405.
        self._others: ASGIApp = Starlette(routes=[*busy, *_routes(gate)], exception_handlers={HTTPException: _no_route})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._busy.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (endpoint or self._others)(scope, receive, send)


def _routes(gate: Gate) -> list[BaseRoute]:
    def not_served(method: str, route: str, operation: str, *, instead: str) -> Route:
        endpoint = NotServed(gate, route=route, operation=operation, instead=instead)
        return Route(route, endpoint, methods=[method])

    socket = ResponsesSocket(gate)
    response = "/v1/responses/{response}"
    return [
        WebSocketRoute("/v1/responses", socket),
        WebSocketRoute("/v1", socket),
        Route("/openapi.json", _openapi, methods=["GET"]),
        Route("/v1/models", ListModels(gate), methods=["GET"]),
        Route("/v1/models/{model:path}", GetModel(gate), methods=["GET"]),
        not_served("POST", "/v1/responses/compact", "compacting", instead=_SEND_ALL),
        Route(response, GetResponse(gate), methods=["GET"]),
        Route(response, DeleteResponse(gate), methods=["DELETE"]),
        Route(f"{response}/cancel", CancelResponse(gate), methods=["POST"]),
        Route(f"{response}/input_items", ListInputItems(gate), methods=["GET"]),
    ]


async def _openapi(request: Request) -> Response:
    del request
    return Response(orjson.dumps(openapi_document(version("tokenbus-gateway"))), media_type="application/json")


async def _no_route(request: Request, raised: Exception) -> Response:
    """404 and 405 in OpenAI's shape."""
    assert isinstance(raised, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path[:200]}); GET /openapi.json lists what there is"
    error = ApiError(raised.status_code, "invalid_request_error", None, message)
    headers = {**(raised.headers or {}), "x-request-id": new_request_id()}
    return Response(error.body(), raised.status_code, headers, "application/json")
