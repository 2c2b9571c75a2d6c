"""Whole answers with every event in its place, for the scripted bus."""

from collections.abc import Sequence
from typing import Any

from tests.client.answerer import fields, numbered, resource
from tokenbus_schemas import ErrorBody, Event, EventLine, RequestHeaders, response_id
from tokenbus_translate import Ending, ResponseAssembly, ResponseHead
from tokenbus_translate.text import OUTPUT_TEXT

Json = dict[str, Any]
USAGE: Json = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 3,
}


def assembly(request: RequestHeaders, *, model: str = "openai/gpt-4.1-mini", store: bool = True) -> ResponseAssembly:
    return ResponseAssembly(
        ResponseHead(
            response_id=response_id(request.request_id),
            model=model,
            created_at=1_790_000_000,
            echo={"input": "Hi", "store": store},
            provider="openai",
            upstream_model="gpt-4.1-mini",
            api="responses",
            attempt=1,
            request_id=request.request_id,
        )
    )


def text_events(answer: ResponseAssembly, pieces: Sequence[str]) -> list[Event]:
    """A message that is still open."""
    text = answer.open_item({"type": "message"}).open_text(OUTPUT_TEXT)
    for piece in pieces:
        text.write(piece)
    return answer.take()


def whole(request: RequestHeaders, pieces: Sequence[str], *, store: bool = True) -> list[EventLine]:
    """Created, in progress, the message, its deltas, its ends, completed: 8 events and one for each piece."""
    answer = assembly(request, store=store)
    answer.add_usage(USAGE)
    return numbered(text_events(answer, pieces) + answer.finish(Ending("completed"), now=1_790_000_001))


def failed_at_once(request: RequestHeaders, error: ErrorBody) -> list[EventLine]:
    return numbered(assembly(request).fail(error))


def failed_after(request: RequestHeaders, pieces: Sequence[str], error: ErrorBody) -> list[EventLine]:
    answer = assembly(request)
    return numbered(text_events(answer, pieces) + answer.fail(error))


def cancelled_after(request: RequestHeaders, pieces: Sequence[str]) -> list[EventLine]:
    answer = assembly(request)
    return numbered(text_events(answer, pieces) + answer.cancel())


def queued(request: RequestHeaders) -> list[EventLine]:
    """What a router says of a background request."""
    response = {**resource(request, status="queued"), "background": True}
    return numbered([Event(f"response.{name}", fields(response=response)) for name in ("created", "queued")])
