"""The WebSocket face of the Responses API, on /v1/responses and /v1: the handshake, and the turns one after the other.

A client sends `response.create` messages; each answer comes as its events, one text message each. What is sent while an
answer is on its way waits its turn. The connection is read all the time, so that a client that goes is noticed.
"""

import asyncio
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.types import Receive, Scope, Send

from tokenbus_gateway.api_errors import ApiError, RefusedError, raised_error
from tokenbus_gateway.edge import DRAIN
from tokenbus_gateway.endpoint import Gate
from tokenbus_gateway.exchange import read_headers
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_gateway.turns import Client, Turns
from tokenbus_gateway.wishes import read_wishes
from tokenbus_schemas import RequestError

MAX_WAITING: Final = 8
"""Messages that may wait for their turn."""

_NORMAL: Final = 1000
_RESTARTING: Final = 1012
_INVALID: Final = "invalid_request_error"
_LIMIT_REACHED: Final = ApiError(
    400,
    _INVALID,
    "websocket_connection_limit_reached",
    "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.",
)
_TOO_MANY: Final = ApiError(
    429, "rate_limit_error", "rate_limit_exceeded", f"{MAX_WAITING} messages wait on this connection; await an answer"
)
_FOREIGN_PAGE: Final = ApiError(403, _INVALID, None, "a page of another host may not connect where no keys are set up")


class ResponsesSocket:
    """The ASGI application of the route."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        authenticator = self._gate.authenticator
        try:
            caller = authenticator.caller(headers.get("authorization"))
            wishes = read_wishes(headers)
            if authenticator.open and not _is_local(headers.get("origin")):
                raise RefusedError(_FOREIGN_PAGE)
        except (RefusedError, RequestError) as error:
            await _deny(receive, send, raised_error(error))
            return
        client = Client(caller, wishes, query.get("model", [None])[-1], headers)
        await receive()
        await send({"type": "websocket.accept"})
        code = await _serve(Turns(self._gate, client, send=send), receive, max_age_s=self._gate.times.websocket_s)
        if code is not None:
            await send({"type": "websocket.close", "code": code})


async def _serve(turns: Turns, receive: Receive, *, max_age_s: float) -> int | None:
    """One turn after the other; the code to close with, None where the client is gone."""
    waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(MAX_WAITING + 1)  # one place is for the end
    ends_at = asyncio.get_running_loop().time() + max_age_s

    async def listen() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            if waiting.qsize() >= MAX_WAITING:
                await turns.tell(_TOO_MANY)
            else:
                waiting.put_nowait(message.get("text") or message.get("bytes") or "")
        if message["type"] == DRAIN:
            waiting.put_nowait(None)
            return
        turns.client_is_gone = True
        raise ClientGoneError

    async def speak() -> int:
        try:
            while True:
                async with asyncio.timeout_at(ends_at):
                    message = await waiting.get()
                if message is None:
                    return _RESTARTING
                await turns.take(message)
        except TimeoutError:
            await turns.tell(_LIMIT_REACHED)
            return _NORMAL

    try:
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(listen())
            code = await speak()
            listener.cancel()
    except* ClientGoneError:
        return_code = None
    else:
        return_code = code
    return return_code


async def _deny(receive: Receive, send: Send, error: ApiError) -> None:
    """Answer the handshake with an HTTP error."""
    await receive()
    headers = [(b"content-type", b"application/json"), *error.headers()]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": error.body()})


def _is_local(origin: str | None) -> bool:
    """No page at all, or one of this machine."""
    return origin is None or urlsplit(origin).hostname in ("localhost", "127.0.0.1", "::1")
