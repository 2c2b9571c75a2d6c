"""What was said before an answer, as a list of items in pages. Pure.

The items are those of the conversation that the request continued, then its own, as OpenAI lists them; an item that was
sent without an id gets one, always the same.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2s
from typing import Final, NamedTuple

import orjson

from tokenbus_router.conversation import Link
from tokenbus_schemas import ErrorCode, RequestError, RequestId, ResponseCall, StoredRequest, response_id
from tokenbus_translate.items import ID_PREFIXES
from tokenbus_translate.json_value import JsonObject, as_objects, as_text

_SEALED: Final = "encrypted_content"
_INCLUDE_SEALED: Final = f"reasoning.{_SEALED}"


class Page(NamedTuple):
    """Some items of a list."""

    items: list[JsonObject]
    more: bool
    """Further ones follow."""


def input_list(links: Sequence[Link], *, record: StoredRequest, request_id: RequestId) -> list[JsonObject]:
    """All items, the oldest first. `links`: the responses that the request continued."""
    items: list[JsonObject] = []
    for link in links:
        items += _told(link.input, request_id=link.request_id)
        items += as_objects(link.response.get("output"))
    items += _told(record.input, request_id=request_id)
    return items


def page_of(items: Sequence[JsonObject], *, call: ResponseCall, max_bytes: int) -> Page:
    """The page that `call` asks for; shorter where it would pass `max_bytes`, but never empty for that.

    Raises `RequestError` where `after` names no item.
    """
    listed = list(items) if call.order == "asc" else list(reversed(items))
    start = 0
    if call.after is not None:
        place = next((number for number, item in enumerate(listed) if item.get("id") == call.after), None)
        if place is None:
            problem = "after: names no input item of this response; send the last id of the page before"
            raise RequestError(ErrorCode.INVALID_VALUE, problem, param="after")
        start = place + 1
    kept: list[JsonObject] = []
    size = 0
    for item in listed[start : start + call.limit]:
        shown = item if _INCLUDE_SEALED in call.include else {k: v for k, v in item.items() if k != _SEALED}
        size += len(orjson.dumps(shown))
        if kept and size > max_bytes:
            break
        kept.append(shown)
    return Page(kept, start + len(kept) < len(listed))


def _told(items: Sequence[JsonObject], *, request_id: RequestId) -> Iterator[JsonObject]:
    for place, item in enumerate(items):
        kind = as_text(item.get("type")) or "message"
        seed = f"{response_id(request_id)}/input/{place}".encode()
        minted = f"{ID_PREFIXES.get(kind, 'item')}_{blake2s(seed, digest_size=12).hexdigest()}"
        told: JsonObject = {**item, "id": as_text(item.get("id")) or minted, "type": kind}
        if kind == "message":
            told = {"status": "completed", **told, "content": _parts(item)}
        yield told


def _parts(message: JsonObject) -> object:
    content = message.get("content")
    if not isinstance(content, str):
        return content
    part: JsonObject = {"type": "input_text", "text": content}
    if message.get("role") == "assistant":
        part = {"type": "output_text", "text": content, "annotations": []}
    return [part]
