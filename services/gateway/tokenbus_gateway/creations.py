"""POST /v1/responses and POST /v1/chat/completions: ask the bus, and hand on the answer, streamed or whole."""

import time
from abc import abstractmethod
from typing import Final

import orjson

from tokenbus.errors import BusError
from tokenbus_gateway.api_errors import internal_error
from tokenbus_gateway.asked import Api, Asked, parse_body, payload_of, take_asked
from tokenbus_gateway.body import read_body
from tokenbus_gateway.bridge import Question
from tokenbus_gateway.endpoint import Endpoint
from tokenbus_gateway.exchange import MAX_LOGGED, Exchange
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_gateway.relay import last_event, opening
from tokenbus_gateway.sse import QUEUED, ChatSSE, Encoder, ResponsesSSE
from tokenbus_gateway.streaming import stream_out
from tokenbus_gateway.wishes import OnDisconnect, Wishes, read_wishes
from tokenbus_schemas import EventLine
from tokenbus_schemas.headers import MAX_TIMEOUT_S
from tokenbus_translate import ChatHead, EventsToChat, chat_completion
from tokenbus_translate.json_value import as_index, as_object

_RESPONSE: Final = b'"response":'


class Creation(Endpoint):
    """What both have in common."""

    api: Api

    @abstractmethod
    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        """Makes the body of a streamed answer, and knows which ends are errors."""

    @abstractmethod
    def whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> bytes:
        """The body of an answer that is not streamed and no error."""

    async def serve(self, exchange: Exchange) -> None:
        usage = exchange.usage
        assert usage is not None
        usage.begin(now=time.monotonic())
        terminal: EventLine | None = None
        try:
            wishes = read_wishes(exchange.headers)
            asked, question = await self._read(exchange, wishes)
            terminal = await self._answer(exchange, question, asked, on_disconnect=wishes.on_disconnect)
        finally:
            usage.end(tokens=tokens_of(terminal) if usage.counts_tokens and terminal is not None else 0)

    async def _read(self, exchange: Exchange, wishes: Wishes) -> tuple[Asked, Question]:
        """Holds the body no longer than it must: with many long conversations it is most of the memory."""
        gate, caller = self.gate, exchange.caller
        assert caller is not None
        limit, timeout_s = gate.max_body_bytes, gate.times.body_s
        body = parse_body(await read_body(exchange.receive, exchange.headers, limit=limit, timeout_s=timeout_s))
        asked = take_asked(body, api=self.api, provider=wishes.provider)
        exchange.facts |= {"model": asked.model[:MAX_LOGGED], "stream": asked.stream}
        caller.check(asked.model)
        return asked, Question(
            tenant=caller.tenant,
            request_id=exchange.request_id,
            payload=payload_of(body),
            priority_class=caller.granted_class(wishes.priority_class),
            timeout_s=wishes.timeout_s or (MAX_TIMEOUT_S if asked.background else gate.times.request_s),
            trace=exchange.trace,
        )

    async def _answer(
        self, exchange: Exchange, question: Question, asked: Asked, *, on_disconnect: OnDisconnect
    ) -> EventLine:
        """The terminal event; of a background answer that is not streamed, the one that says that it is queued."""
        bridge, encoder = self.gate.bridge, self.encoder(exchange, asked)
        try:
            async with bridge.ask(question) as answer:
                exchange.wire.watch(answer.feed.client_gone)
                if asked.stream:
                    return await stream_out(exchange, answer, encoder=encoder, write_s=self.gate.times.write_s)
                if asked.background:
                    lines = await opening(answer)
                    terminal = next((line for line in lines if line.type == QUEUED), lines[-1])
                else:
                    terminal = await last_event(answer)
        except ClientGoneError:
            await bridge.leave(question, "continue" if asked.background else on_disconnect)
            raise
        except BusError:
            # It may have been accepted all the same; the client will send it again.
            await bridge.abandon(question.tenant, question.request_id)
            raise
        exchange.facts["outcome"] = terminal.type
        if (refusal := encoder.refusal(terminal)) is not None:
            await exchange.refuse(refusal)
        else:
            await exchange.reply(self.whole(exchange, asked, terminal))
        return terminal


class CreateResponse(Creation):
    """POST /v1/responses."""

    api: Api = "responses"
    route = "/v1/responses"

    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        return ResponsesSSE()

    def whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> bytes:
        return response_json(terminal)


class CreateChatCompletion(Creation):
    """POST /v1/chat/completions."""

    api: Api = "chat"
    route = "/v1/chat/completions"

    def encoder(self, exchange: Exchange, asked: Asked) -> Encoder:
        return ChatSSE(EventsToChat(_chat_head(exchange, asked), include_usage=asked.include_usage))

    def whole(self, exchange: Exchange, asked: Asked, terminal: EventLine) -> bytes:
        response = as_object(terminal.data.get("response")) or {}
        return orjson.dumps(chat_completion(response, _chat_head(exchange, asked)))


def response_json(lifecycle: EventLine) -> bytes:
    """The response resource in a lifecycle event, as it stands there. Raises `RefusedError` where there is none."""
    start = lifecycle.raw.find(_RESPONSE)
    if start < 0:
        raise internal_error("a service sent an event without its response")
    return lifecycle.raw[start + len(_RESPONSE) : lifecycle.raw.rindex(b"}")]


def tokens_of(terminal: EventLine) -> int:
    """What an answer used, in all."""
    usage = as_object((as_object(terminal.data.get("response")) or {}).get("usage")) or {}
    return as_index(usage.get("total_tokens")) or 0


def _chat_head(exchange: Exchange, asked: Asked) -> ChatHead:
    return ChatHead(f"chatcmpl-{exchange.request_id}", asked.model, int(time.time()))
