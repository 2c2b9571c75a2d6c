"""The other side of the wire, small: takes requests, publishes events, serves replay, control and models.

A test says what is published live and what is stored; nothing happens by itself except the answers to calls.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from tokenbus.bus import Bus, Message, StreamSpec, Subscription
from tokenbus_schemas import (
    ControlReply,
    Event,
    EventLine,
    ModelList,
    ReplayPage,
    ReplayRequest,
    RequestHeaders,
    ResponseCall,
    ResponseReply,
    Subjects,
    encode,
    parse_request_headers,
    response_id,
)
from tokenbus_schemas.control import CancelStatus
from tokenbus_schemas.replay import ReplayState
from tokenbus_schemas.subjects import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stood on the bus."""

    headers: RequestHeaders
    priority_class: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Answer:
    """What is stored of one answer."""

    state: ReplayState = "queued"
    stored: list[EventLine] = field(default_factory=list[EventLine])


class Answerer:
    """Plays the services for one root. Requests and calls that came are kept in lists, for tests to look at."""

    def __init__(self, bus: Bus, *, root: str) -> None:
        self.subjects = Subjects(root)
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self.answers: defaultdict[str, Answer] = defaultdict(lambda: Answer("unknown"))
        self.replays: list[ReplayRequest] = []
        self.replay_refusal: dict[str, Any] | None = None
        self.page_events = 1000
        self.cancels: asyncio.Queue[str] = asyncio.Queue()
        self.cancel_status: CancelStatus | None = "cancelling"
        self._bus = bus
        self._services: dict[str, Subscription] = {}

    async def start(self) -> None:
        root = self.subjects.root
        await self._bus.ensure_stream(
            StreamSpec(f"{root.upper()}_REQUESTS", (f"{root}.requests.>",), retention="workqueue")
        )
        await self._bus.subscribe(f"{root}.requests.>", self.receive_request)
        services = {
            "replay": self.answer_replay,
            "control": self.answer_control,
            "responses": self.answer_responses,
            "models": self.answer_models,
        }
        for name, service in services.items():
            self._services[name] = await self._bus.subscribe(f"{root}.{name}.>", service)
        await self._bus.flush()

    async def stop_serving(self, name: str) -> None:
        """From now on nobody answers these calls: replay, control or models."""
        await self._services[name].unsubscribe()
        await self._bus.flush()

    async def receive_request(self, message: Message) -> None:
        headers = parse_request_headers(message.headers)
        self.answers[headers.request_id].state = "queued"
        address = self.subjects.parse_request(message.subject)
        await self.requests.put(Request(headers, address.priority_class, from_json(message.data)))

    async def answer_next(self, pieces: Sequence[str]) -> Mapping[str, Any]:
        """Answers the next request, event by event; returns its body."""
        request = await self.requests.get()
        for line in whole_answer(request.headers, pieces):
            await self.publish(request.headers, [line])
        return request.body

    async def publish(self, request: RequestHeaders, lines: Sequence[EventLine], *, stored: bool = True) -> None:
        """One event message, live; `stored`: it was captured too."""
        if stored:
            self.store(request, lines)
        attempt = lines[0].attempt
        subject = self.subjects.events(DEFAULT_TENANT, request.channel, request.request_id, attempt)
        await self._bus.publish(subject, b"\n".join([line.raw for line in lines]))

    def store(self, request: RequestHeaders, lines: Sequence[EventLine]) -> None:
        """Captured, whether or not anybody sees it live."""
        answer = self.answers[request.request_id]
        answer.stored.extend(lines)
        answer.state = "ended" if answer.stored[-1].is_terminal else "streaming"

    async def answer_replay(self, message: Message) -> None:
        answer = self.answers[self.subjects.parse_call(message.subject).request_id]
        question = ReplayRequest.model_validate_json(message.data)
        self.replays.append(question)
        newer = [line.data for line in answer.stored if line.sequence_number > question.after]
        page = newer[: min(question.limit, self.page_events)]
        reply = ReplayPage(
            state=answer.state,
            more=len(page) < len(newer),
            events=[dict(event) for event in page],
            error=self.replay_refusal,
        )
        await self._bus.publish(message.reply, reply.model_dump_json().encode())

    async def answer_responses(self, message: Message) -> None:
        """Of input items there are three, a to c; a page holds two."""
        answer = self.answers[self.subjects.parse_call(message.subject).request_id]
        question = ResponseCall.model_validate_json(message.data)
        items: list[dict[str, Any]] = [{"id": name, "type": "message", "role": "user", "content": []} for name in "abc"]
        place = 0 if question.after is None else "abc".index(question.after) + 1
        page = items[place : place + min(question.limit, 2)]
        if answer.state == "unknown":
            reply = ResponseReply(error={"type": "response_not_found", "message": "no such response"})
        elif question.action == "delete":
            answer.state = "unknown"
            reply = ResponseReply(deleted=True)
        elif question.action == "input_items":
            reply = ResponseReply(items=page, more=place + len(page) < len(items))
        else:
            known = [line.data["response"] for line in answer.stored if "response" in line.data]
            reply = ResponseReply(response=known[-1])
        await self._bus.publish(message.reply, reply.model_dump_json().encode())

    async def answer_control(self, message: Message) -> None:
        await self.cancels.put(self.subjects.parse_call(message.subject).request_id)
        if self.cancel_status is None:
            reply = ControlReply(status=None, error={"code": "invalid_value", "message": "action: refused"})
        else:
            reply = ControlReply(status=self.cancel_status, error=None)
        await self._bus.publish(message.reply, reply.model_dump_json().encode())

    async def answer_models(self, message: Message) -> None:
        models = ModelList(models=[ModelList.Model(id="openai/gpt-4.1-mini", providers=["openai", "azure"])])
        await self._bus.publish(message.reply, models.model_dump_json().encode())


@asynccontextmanager
async def answering(bus: Bus, *, root: str) -> AsyncGenerator[Answerer]:
    """An answerer at work on `bus`."""
    answerer = Answerer(bus, root=root)
    await answerer.start()
    yield answerer


def numbered(events: Sequence[Event], *, first: int = 0) -> list[EventLine]:
    return [EventLine(encode(event, number)) for number, event in enumerate(events, first)]


def fields(**values: object) -> bytes:
    return b"," + to_json(values)[1:-1]


def resource(
    request: RequestHeaders, *, status: str, text: str = "", error: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {
        "id": response_id(request.request_id),
        "status": status,
        "model": "openai/gpt-4.1-mini",
        "output": [item] if text else [],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        "error": error,
    }


def delta(text: str, *, output_index: int = 0) -> Event:
    return Event("response.output_text.delta", fields(output_index=output_index, content_index=0, delta=text))


def ending(request: RequestHeaders, *, status: str, text: str = "", error: Mapping[str, Any] | None = None) -> Event:
    kind = {"completed": "response.completed", "failed": "response.failed"}.get(status, "response.incomplete")
    return Event(kind, fields(response=resource(request, status=status, text=text, error=error)))


def whole_answer(request: RequestHeaders, pieces: Sequence[str]) -> list[EventLine]:
    """A completed answer of one message, every event of it."""
    created = Event("response.created", fields(response=resource(request, status="in_progress")))
    part_added = Event("response.content_part.added", fields(output_index=0, content_index=0))
    part_done = Event("response.content_part.done", fields(output_index=0, content_index=0))
    end = ending(request, status="completed", text="".join(pieces))
    return numbered([created, part_added, *[delta(piece) for piece in pieces], part_done, end])
