"""The routes."""

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tokenbus_gateway.api_errors import ApiError
from tokenbus_gateway.creations import CreateChatCompletion, CreateResponse
from tokenbus_gateway.endpoint import Endpoint, Gate
from tokenbus_gateway.models import GetModel, ListModels
from tokenbus_gateway.stored import CancelResponse, GetResponse, NotServed
from tokenbus_gateway.websocket import ResponsesSocket

_SEND_ALL: Final = "send the whole conversation in `input`"
_EXPIRES: Final = "responses go by themselves when their time of retention is over"
_KEEP_INPUT: Final = "keep what you sent"


class Application:
    """The ASGI application. The two busy routes are looked up; Starlette finds the others.

    Its router and middleware keep eight frames per running request and wrap every `send`: 3 KiB of each stream's memory.
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
    def not_served(operation: str, *, instead: str) -> NotServed:
        return NotServed(gate, operation=operation, instead=instead)

    socket = ResponsesSocket(gate)
    response = "/v1/responses/{response}"
    return [
        WebSocketRoute("/v1/responses", socket),
        WebSocketRoute("/v1", socket),
        Route("/v1/models", ListModels(gate), methods=["GET"]),
        Route("/v1/models/{model:path}", GetModel(gate), methods=["GET"]),
        Route("/v1/responses/compact", not_served("compacting", instead=_SEND_ALL), methods=["POST"]),
        Route(response, GetResponse(gate), methods=["GET"]),
        Route(response, not_served("deleting a response", instead=_EXPIRES), methods=["DELETE"]),
        Route(f"{response}/cancel", CancelResponse(gate), methods=["POST"]),
        Route(f"{response}/input_items", not_served("listing input", instead=_KEEP_INPUT), methods=["GET"]),
    ]


async def _no_route(request: Request, raised: Exception) -> Response:
    """404 and 405 in OpenAI's shape."""
    assert isinstance(raised, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path[:200]}); GET /openapi.json lists what there is"
    error = ApiError(raised.status_code, "invalid_request_error", None, message)
    return Response(error.body(), raised.status_code, raised.headers, "application/json")
