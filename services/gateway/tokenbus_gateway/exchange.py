"""One HTTP request and its response: what has been read, what has been sent, and what the log will say of it."""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final, cast

from starlette.types import Message, Receive, Scope, Send

from tokenbus_gateway.access.caller import Caller
from tokenbus_gateway.api_errors import ApiError
from tokenbus_gateway.edge import WIRE, Wire
from tokenbus_gateway.limits import Usage
from tokenbus_gateway.tracing import TraceContext
from tokenbus_schemas import RequestId

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]
MAX_LOGGED: Final = 200
"""Characters of what a client wrote that a field of a log line may hold."""
_JSON: Final[Header] = (b"content-type", b"application/json")
_SSE: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold tokens back
)


class Exchange:
    """Made for each request. `request_id` names it everywhere: in the log, in `x-request-id`, in the response's id."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.method = cast("str", scope["method"])
        self.path = cast("str", scope["path"])
        self.query = cast("bytes", scope["query_string"])
        self.path_parameters = cast("Mapping[str, str]", scope.get("path_params", {}))
        self.headers = read_headers(scope)
        self.request_id = new_request_id()
        self.caller: Caller | None = None
        self.usage: Usage | None = None
        self.trace = TraceContext()
        """What the bus carries on."""
        self.started = False
        """The status is out; from now on an error can only be told inside the body."""
        self.facts: dict[str, object] = {}
        """Further fields of the log line: model, status, outcome, …"""
        self._scope = scope
        self._send = send
        self._began = time.monotonic()

    @property
    def wire(self) -> Wire:
        """Writes to the socket, once the stream was started."""
        extensions: Mapping[str, Mapping[str, Wire]] = self._scope["extensions"]
        return extensions[WIRE][WIRE]

    async def reply(self, body: bytes, *, status: int = 200, headers: Iterable[Header] = ()) -> None:
        """The whole response, JSON."""
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [_JSON, length, *headers])
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ApiError) -> None:
        """The whole response, an error."""
        self.facts.setdefault("error", error.code or error.type)
        await self.reply(error.body(), status=error.status, headers=error.headers())

    async def start_stream(self) -> None:
        """The head of an SSE response; then write to `wire`."""
        await self._start(200, _SSE)

    async def end_stream(self) -> None:
        """The body is whole."""
        await self._send({"type": "http.response.body", "body": b""})

    def note_first_event(self) -> None:
        self.facts.setdefault("first_event_ms", self._elapsed_ms())

    def log(self) -> None:
        """One line for the request's outcome."""
        who = {} if self.caller is None else {"key": self.caller.key_id, "tenant": self.caller.tenant}
        _log.info(
            "request",
            extra={
                "method": self.method,
                "path": self.path[:MAX_LOGGED],
                "request_id": self.request_id,
                **who,
                **self.facts,
                "duration_ms": self._elapsed_ms(),
            },
        )

    async def _start(self, status: int, headers: Iterable[Header]) -> None:
        self.started = True
        self.facts["status"] = status
        limits = () if self.usage is None else self.usage.headers(now=time.monotonic())
        message: Message = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"x-request-id", self.request_id.encode()), *headers, *limits],
        }
        await self._send(message)

    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._began) * 1000, 1)


def new_request_id() -> RequestId:
    """128 random bits: who knows the id may read, watch and cancel, within its tenant."""
    return RequestId(secrets.token_hex(16))


def read_headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; of several with one name the last."""
    headers = cast("Iterable[Header]", scope["headers"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
