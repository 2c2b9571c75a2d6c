"""POST /v1/responses and POST /v1/chat/completions: ask the bus, and hand on the answer, streamed or whole."""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

import orjson

from tokenbus.errors import AnswerLostError, BusError
from tokenbus_gateway.api_errors import api_error, raised_error
from tokenbus_gateway.asked import Api, Asked, read_asked
from tokenbus_gateway.body import read_body
from tokenbus_gateway.bridge import Answer, Question
from tokenbus_gateway.endpoint import Endpoint
from tokenbus_gateway.exchange import Exchange
from tokenbus_gateway.relay import ClientGoneError, follow, last_event, opening, while_connected
from tokenbus_gateway.sse import ChatSSE, Encoder, ResponsesSSE, chat_failure, failure, refusal_of
from tokenbus_gateway.wishes import Wishes, read_wishes
from tokenbus_schemas import ErrorBody, ErrorCode, EventLine, RequestError
from tokenbus_schemas.events import FAILED
from tokenbus_translate.events_to_chat import EventsToChat
from tokenbus_translate.json_value import as_index, as_object
from tokenbus_translate.response_to_chat import ChatHead, chat_completion

_RESPONSE: Final = b'"response":'


class Creation(Endpoint):
    """What both have in common."""

    api: Api

    async def serve(self, exchange: Exchange) -> None:
        caller, usage = exchange.caller, exchange.usage
        assert caller is not None
        assert usage is not None
        usage.begin(now=time.monotonic())
        tokens = 0
        try:
            wishes = read_wishes(exchange.headers)
            raw = await read_body(
                exchange.receive, exchange.headers, limit=self.gate.body_limit, timeout_s=self.gate.times.body_s
            )
            asked = read_asked(raw, api=self.api, provider=wishes.provider)
            exchange.facts |= {"model": asked.model, "stream": asked.stream}
            caller.check(asked.model)
            question = self._question(exchange, asked, wishes)
            terminal = await self._ask(exchange, question, asked, wishes)
            if usage.counts_tokens:
                tokens = tokens_of(terminal)
        finally:
            usage.end(tokens=tokens)

    @abstractmethod
    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        """For a streamed answer."""

    @abstractmethod
    async def reply_whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> None:
        """For one that is not streamed."""

    def _question(self, exchange: Exchange, asked: Asked, wishes: Wishes) -> Question:
        assert exchange.caller is not None
        return Question(
            tenant=exchange.caller.tenant,
            request_id=exchange.request_id,
            payload=asked.payload(),
            priority_class=exchange.caller.granted_class(wishes.priority_class),
            timeout_s=wishes.timeout_s or self.gate.times.request_s,
            traceparent=exchange.headers.get("traceparent"),
            tracestate=exchange.headers.get("tracestate"),
        )

    async def _ask(self, exchange: Exchange, question: Question, asked: Asked, wishes: Wishes) -> EventLine:
        answering = self._stream if asked.stream else self._whole
        try:
            return await while_connected(exchange.receive, answering(exchange, question, asked))
        except ClientGoneError:
            if wishes.on_disconnect == "cancel":
                await self.gate.bridge.abandon(question.tenant, question.request_id)
            raise
        except BusError:
            # It may have been accepted; the client will send it again.
            await self.gate.bridge.abandon(question.tenant, question.request_id)
            raise

    async def _whole(self, exchange: Exchange, question: Question, asked: Asked) -> EventLine:
        async with self.gate.bridge.ask(question) as answer:
            terminal = await last_event(answer)
        exchange.facts["outcome"] = terminal.type
        await self.reply_whole(exchange, asked, terminal)
        return terminal

    async def _stream(self, exchange: Exchange, question: Question, asked: Asked) -> EventLine:
        async with self.gate.bridge.ask(question) as answer:
            return await stream_out(
                exchange, answer, encoder=self.encoder(exchange, asked), write_s=self.gate.times.write_s
            )


class CreateResponse(Creation):
    """POST /v1/responses."""

    api: Api = "responses"

    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        return ResponsesSSE()

    async def reply_whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> None:
        if terminal.type == FAILED:
            await exchange.refuse(failure(terminal))
        else:
            await exchange.reply(response_json(terminal))


class CreateChatCompletion(Creation):
    """POST /v1/chat/completions."""

    api: Api = "chat"

    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        return ChatSSE(EventsToChat(_chat_head(exchange, asked), include_usage=asked.include_usage))

    async def reply_whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> None:
        if (broken := chat_failure(terminal)) is not None:
            await exchange.refuse(broken)
        else:
            response = as_object(terminal.data["response"]) or {}
            await exchange.reply(orjson.dumps(chat_completion(response, _chat_head(exchange, asked))))


async def stream_out(exchange: Exchange, answer: Answer, *, encoder: Encoder, write_s: float) -> EventLine:
    """Send an answer; returns the terminal event, sent. One that fails before it says anything is an HTTP error.

    Raises `ClientGoneError` where the client reads nothing for `write_s` seconds. Where no terminal event comes, the
    error is told inside the body and the connection is cut: nothing may take it for a whole answer.
    """
    lines = await opening(answer)
    exchange.note_first_event()
    wire, last = exchange.wire, lines[-1]
    if (refusal := refusal_of(encoder, lines)) is not None:
        exchange.facts["outcome"] = last.type
        await exchange.refuse(refusal)
        return last

    def write(lines: Sequence[EventLine]) -> bool:
        nonlocal last
        last = lines[-1]
        body = encoder.encode(lines)
        return wire.write(body) if body else True

    async def drained() -> None:
        try:
            await wire.drained(timeout_s=write_s)
        except TimeoutError as error:
            wire.abort()
            raise ClientGoneError from error

    await exchange.start_stream()
    write(lines)
    try:
        await follow(answer, write, drained=drained)
    except AnswerLostError as error:
        wire.write(encoder.error(raised_error(error)))
        raise
    exchange.facts["outcome"] = last.type
    await exchange.end_stream()
    return last


def response_json(lifecycle: EventLine) -> bytes:
    """The response resource in a lifecycle event, as it stands there."""
    start = lifecycle.raw.find(_RESPONSE)
    end = lifecycle.raw.rfind(b"}")
    if start < 0:
        raise RequestError(ErrorCode.INTERNAL_ERROR, api_error(ErrorBody(ErrorCode.INTERNAL_ERROR, "")).message)
    return lifecycle.raw[start + len(_RESPONSE) : end]


def _chat_head(exchange: Exchange, asked: Asked) -> ChatHead:
    return ChatHead(f"chatcmpl-{exchange.request_id}", asked.model, int(time.time()))


def tokens_of(terminal: EventLine) -> int:
    """What an answer used, in all."""
    usage = as_object((as_object(terminal.data.get("response")) or {}).get("usage")) or {}
    return as_index(usage.get("total_tokens")) or 0
