"""What every HTTP endpoint does around its own work: who asks, how much, errors in OpenAI's shape, one log line.

An endpoint is an ASGI application of its own, so that a stream passes no layer of middleware per token.
"""

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tokenbus.error_site import error_site
from tokenbus.errors import TokenbusError, UnknownRequestError
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.api_errors import RefusedError, raised_error, response_not_found
from tokenbus_gateway.bridge import Bridge
from tokenbus_gateway.exchange import Exchange
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_gateway.limits import Meter
from tokenbus_gateway.tracing import request_span
from tokenbus_schemas import RequestError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Times:
    """How patient the gateway is; seconds."""

    body_s: float = 60.0
    """From the headers of a request to the end of its body."""
    write_s: float = 60.0
    """A client that reads nothing for this long is gone."""
    request_s: float = 600.0
    """A request's whole time, queueing included, unless it says otherwise; the same as in OpenAI's SDKs."""
    websocket_s: float = 3600.0
    """A WebSocket's whole time; OpenAI's limit, after which its clients open a new one."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What endpoints stand on."""

    bridge: Bridge
    authenticator: Authenticator
    meter: Meter
    times: Times
    max_body_bytes: int


class Endpoint(ABC):
    """One route."""

    route: str
    """As it stands in the OpenAPI document; names the span."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @abstractmethod
    async def serve(self, exchange: Exchange) -> None:
        """Answer it; `exchange.caller` is known. What it raises becomes an error response, or a cut stream."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        name = f"{exchange.method} {self.route}"
        with request_span(name, exchange.headers, request_id=exchange.request_id) as span:
            exchange.trace = span.context
            try:
                exchange.caller = caller = self.gate.authenticator.caller(exchange.headers.get("authorization"))
                exchange.usage = self.gate.meter.usage(caller.key_id, caller.limits, now=time.monotonic())
                await self.serve(exchange)
            except ClientGoneError:
                exchange.facts["outcome"] = "client gone"
            except Exception as error:  # noqa: BLE001 - the outermost edge: a client must not wait in vain
                await _tell(exchange, error)
            finally:
                span.note(exchange.facts)
                exchange.log()


async def _tell(exchange: Exchange, error: Exception) -> None:
    if not isinstance(error, RefusedError | RequestError | TokenbusError):
        extra = {"request_id": exchange.request_id, "error": error_site(error)}
        _log.error("a request failed by a mistake of ours", extra=extra)
    unknown = isinstance(error, UnknownRequestError)
    told = response_not_found(f"resp_{error.request_id}") if unknown else raised_error(error)
    exchange.facts["error"] = told.code or told.type
    if exchange.started:
        exchange.wire.cut()
    else:
        await exchange.refuse(told)
