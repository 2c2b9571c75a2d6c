"""Conversations put together: what a request continues, and what is kept of it for later ones. Pure.

A request that continues a response gets, in its work order, everything that was said before: for each earlier response
its own input, then its output. Instructions are not carried over, as in OpenAI's API.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenbus_router.unanswered import Asked
from tokenbus_schemas import ErrorCode, RequestError, RequestId, Said, StoredRequest
from tokenbus_translate.continuation import as_inputs, input_items, without_repeats
from tokenbus_translate.json_value import JsonObject, as_object, as_objects, as_text

PREVIOUS: Final = "previous_response_id"
MAX_CHAIN: Final = 1000
"""Responses that one conversation may have."""

_CONTINUABLE: Final = frozenset({"completed", "incomplete"})


class Link(NamedTuple):
    """One earlier response of a conversation."""

    request_id: RequestId
    input: Sequence[JsonObject]
    """Its own."""
    response: JsonObject
    """The resource of its terminal event."""


@dataclass(frozen=True, slots=True)
class History:
    """What was said before a request."""

    chain: tuple[RequestId, ...]
    """The responses, the oldest first."""
    items: list[object]
    """As input."""
    said: list[Said]
    """Which of them are output."""
    last_output: Sequence[JsonObject]
    """Of the last response, as it was: what clients repeat."""


def history(links: Iterable[Link]) -> History:
    """The conversation up to the last of `links`, the oldest first."""
    chain: list[RequestId] = []
    items: list[object] = []
    said: list[Said] = []
    output: Sequence[JsonObject] = ()
    for link in links:
        chain.append(link.request_id)
        items += link.input
        output = as_objects(link.response.get("output"))
        told = as_inputs(output)
        who = as_object(link.response.get("tokenbus")) or {}
        api = "chat_completions" if who.get("api") == "chat_completions" else "responses"
        said.append(Said(provider=as_text(who.get("provider")) or "", api=api, first=len(items), count=len(told)))
        items += told
    return History(tuple(chain), items, said, output)


def check_status(response: JsonObject, *, response_id: str) -> None:
    """Raises `RequestError` where the response did not end in something that can be continued."""
    status = response.get("status")
    if status not in _CONTINUABLE:
        raise not_continuable(response_id, problem=f"it is {status}")


def previous_not_found(response_id: str) -> RequestError:
    """The same for whatever is not there, and for what is another tenant's. The message is OpenAI's."""
    shown = response_id if len(response_id) <= 80 else response_id[:77] + "..."
    return RequestError(
        ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND, f"Previous response with id '{shown}' not found.", param=PREVIOUS
    )


def not_continuable(response_id: str, *, problem: str) -> RequestError:
    """The response is there, and the caller's own."""
    return RequestError(
        ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND,
        f"Previous response with id '{response_id}' can not be continued: {problem}; continue one that was completed, "
        "or send the whole conversation in `input`",
        param=PREVIOUS,
    )


def own_input(body: Mapping[str, object], *, before: History | None) -> list[object]:
    """The new items of a normalised request."""
    items = input_items(body)
    return items if before is None else without_repeats(items, before.last_output)


def is_stored(body: Mapping[str, object]) -> bool:
    """Whether the response to a normalised request is to be kept; OpenAI's default is that it is."""
    return body.get("store") is not False


def record_of(
    body: Mapping[str, object], *, own: Sequence[object], before: History | None, asked: Asked
) -> StoredRequest:
    """What is kept of a normalised request whose response is stored."""
    return StoredRequest(
        channel=asked.channel,
        model=asked.model,
        accepted_at=asked.accepted_at,
        announced=asked.announced,
        before=[] if before is None else list(before.chain),
        input=as_objects(own),
        request={name: value for name, value in body.items() if name != "input"},
    )
