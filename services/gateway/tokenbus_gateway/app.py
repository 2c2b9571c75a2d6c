"""The routes."""

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from tokenbus_gateway.api_errors import ApiError
from tokenbus_gateway.creations import CreateChatCompletion, CreateResponse
from tokenbus_gateway.endpoint import Gate
from tokenbus_gateway.models import GetModel, ListModels
from tokenbus_gateway.stored import CancelResponse, GetResponse, NotServed
from tokenbus_gateway.websocket import ResponsesSocket

_SEND_ALL: Final = "send the whole conversation in `input`"
_EXPIRES: Final = "responses go by themselves when their time of retention is over"
_KEEP_INPUT: Final = "keep what you sent"


def application(gate: Gate) -> Starlette:
    """The ASGI application."""
    return Starlette(routes=_routes(gate), exception_handlers={HTTPException: _no_route})


def _routes(gate: Gate) -> list[BaseRoute]:
    socket = ResponsesSocket(gate)
    return [
        Route("/v1/responses", CreateResponse(gate), methods=["POST"]),
        WebSocketRoute("/v1/responses", socket),
        WebSocketRoute("/v1", socket),
        Route("/v1/chat/completions", CreateChatCompletion(gate), methods=["POST"]),
        Route("/v1/models", ListModels(gate), methods=["GET"]),
        Route("/v1/models/{model:path}", GetModel(gate), methods=["GET"]),
        Route("/v1/responses/compact", _not_served(gate, "compacting", _SEND_ALL), methods=["POST"]),
        Route("/v1/responses/{response}", GetResponse(gate), methods=["GET"]),
        Route("/v1/responses/{response}", _not_served(gate, "deleting a response", _EXPIRES), methods=["DELETE"]),
        Route("/v1/responses/{response}/cancel", CancelResponse(gate), methods=["POST"]),
        Route("/v1/responses/{response}/input_items", _not_served(gate, "listing input", _KEEP_INPUT), methods=["GET"]),
    ]


def _not_served(gate: Gate, operation: str, instead: str) -> NotServed:
    return NotServed(gate, operation=operation, instead=instead)


async def _no_route(request: Request, raised: Exception) -> Response:
    """404 and 405 in OpenAI's shape."""
    assert isinstance(raised, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path[:200]}); GET /openapi.json lists what there is"
    error = ApiError(raised.status_code, "invalid_request_error", None, message)
    return Response(error.body(), raised.status_code, raised.headers, "application/json")
