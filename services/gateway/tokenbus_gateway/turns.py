"""The turns of one WebSocket: a message in, the events of its answer out. What goes wrong with one is told as an error
message, and the connection lives on.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson
from starlette.types import Send

from tokenbus.error_site import error_site
from tokenbus.errors import BusError, TokenbusError
from tokenbus_gateway.access.caller import Caller
from tokenbus_gateway.api_errors import ApiError, RefusedError, raised_error
from tokenbus_gateway.asked import Asked, parse_body, payload_of, take_asked
from tokenbus_gateway.bridge import Answer, Question
from tokenbus_gateway.continuation import Continuation
from tokenbus_gateway.creations import tokens_of
from tokenbus_gateway.endpoint import Gate
from tokenbus_gateway.exchange import MAX_LOGGED, new_request_id
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_gateway.relay import opening
from tokenbus_gateway.sse import ResponsesSSE, refusal_of
from tokenbus_gateway.tracing import TraceContext, request_span
from tokenbus_gateway.wishes import Wishes
from tokenbus_schemas import ErrorCode, EventLine, RequestError, RequestId
from tokenbus_translate.json_value import JsonObject, as_object, parse_object

_log = logging.getLogger(__name__)

_CREATE: Final = "response.create"


class Client(NamedTuple):
    """What the handshake said."""

    caller: Caller
    wishes: Wishes
    model: str | None
    """For messages that name none."""
    headers: Mapping[str, str]


class Turn(NamedTuple):
    """One `response.create`, with its conversation resolved."""

    asked: Asked
    body: JsonObject
    refers_to: object
    """Its `previous_response_id`, as it was sent."""
    resolved: bool
    """The bus does not know that it refers to anything."""


class Turns:
    """One client, one conversation."""

    def __init__(self, gate: Gate, client: Client, *, send: Send) -> None:
        self.client_is_gone = False
        self._gate = gate
        self._client = client
        self._send = send
        self._continuation = Continuation()

    async def tell(self, error: ApiError) -> None:
        """Send an error message. Raises `ClientGoneError`."""
        await self._send_text(error.frame())

    async def take(self, message: str | bytes) -> None:
        """One whole turn. Raises `ClientGoneError`; whatever else goes wrong is told."""
        facts: dict[str, object] = {}
        began = time.monotonic()
        try:
            turn = self._read(message)
            facts["model"] = turn.asked.model[:MAX_LOGGED]
            await self._answer(turn, facts)
        except ClientGoneError:
            facts["outcome"] = "client gone"
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of a turn: its client must not wait in vain
            if not isinstance(error, RefusedError | RequestError | TokenbusError):
                _log.error("a turn failed by a mistake of ours", extra={"error": error_site(error)})
            told = raised_error(error)
            facts["error"] = told.code or told.type
            await self.tell(told)
        finally:
            who = {"key": self._client.caller.key_id, "tenant": self._client.caller.tenant}
            duration_ms = round((time.monotonic() - began) * 1000, 1)
            _log.info("turn", extra={**who, **facts, "duration_ms": duration_ms})

    def _read(self, message: str | bytes) -> Turn:
        body = parse_body(message)
        if body.pop("type", None) != _CREATE:
            problem = f"type: must be {_CREATE}; this connection takes no other message"
            raise RequestError(ErrorCode.INVALID_VALUE, problem, param="type")
        if body.get("background"):
            problem = "background: is not taken on a WebSocket; send the request to POST /v1/responses"
            raise RequestError(ErrorCode.UNSUPPORTED_PARAMETER, problem, param="background")
        if self._client.model is not None:
            body.setdefault("model", self._client.model)
        refers_to = body.get("previous_response_id")
        resolved = self._continuation.resolve(body)
        asked = take_asked(resolved, api="responses", provider=self._client.wishes.provider)
        return Turn(asked, resolved, refers_to, resolved is not body)

    async def _answer(self, turn: Turn, facts: dict[str, object]) -> None:
        caller = self._gate.authenticator.renewed(self._client.caller)
        caller.check(turn.asked.model)
        usage = self._gate.meter.usage(caller.key_id, caller.limits, now=time.monotonic())
        usage.begin(now=time.monotonic())
        terminal: EventLine | None = None
        facts["request_id"] = request_id = new_request_id()
        with request_span("WEBSOCKET /v1/responses", self._client.headers, request_id=request_id) as span:
            try:
                question = self._question(turn.body, request_id=request_id, trace=span.context)
                terminal = await self._ask(turn, question)
                facts["outcome"] = terminal.type
            finally:
                usage.end(tokens=tokens_of(terminal) if usage.counts_tokens and terminal is not None else 0)
                self._note(turn, terminal)
                span.note(facts)

    def _note(self, turn: Turn, terminal: EventLine | None) -> None:
        response = as_object(terminal.data.get("response")) if terminal is not None else None
        if response is None or response.get("status") == "failed":
            self._continuation.forget(turn.refers_to)
        else:
            self._continuation.remember(turn.body, response)

    def _question(self, body: JsonObject, *, request_id: RequestId, trace: TraceContext) -> Question:
        client = self._client
        return Question(
            tenant=client.caller.tenant,
            request_id=request_id,
            payload=payload_of(body),
            priority_class=client.caller.granted_class(client.wishes.priority_class),
            timeout_s=client.wishes.timeout_s or self._gate.times.request_s,
            trace=trace,
        )

    async def _ask(self, turn: Turn, question: Question) -> EventLine:
        bridge = self._gate.bridge
        try:
            async with bridge.ask(question) as answer:
                return await self._relay(answer, refers_to=turn.refers_to if turn.resolved else None)
        except BusError:
            # It may have been accepted all the same; the client will send it again.
            await bridge.abandon(question.tenant, question.request_id)
            raise
        except ClientGoneError:
            self.client_is_gone = True
            raise
        finally:
            if self.client_is_gone:
                await bridge.leave(question, self._client.wishes.on_disconnect)

    async def _relay(self, answer: Answer, *, refers_to: object) -> EventLine:
        encoder = ResponsesSSE()
        lines = await opening(answer)
        if (refusal := refusal_of(encoder, lines)) is not None:
            await self.tell(refusal)
            return lines[-1]
        while True:
            for message in encoder.messages(lines):
                await self._send_text(message if refers_to is None else _continuing(message, refers_to))
            if lines[-1].is_terminal:
                return lines[-1]
            lines = await answer.reader.batch()

    async def _send_text(self, message: bytes) -> None:
        """Raises `ClientGoneError` where the client is gone, or does not read."""
        try:
            async with asyncio.timeout(self._gate.times.write_s):
                await self._send({"type": "websocket.send", "text": message.decode()})
        except (OSError, TimeoutError) as error:  # OSError: uvicorn's ClientDisconnected
            raise ClientGoneError from error


def _continuing(message: bytes, response_id: object) -> bytes:
    """The event, where it holds the response, with the id that the client referred to."""
    event = parse_object(message) or {}
    response = as_object(event.get("response"))
    if response is None:
        return message
    return orjson.dumps({**event, "response": {**response, "previous_response_id": response_id}})
