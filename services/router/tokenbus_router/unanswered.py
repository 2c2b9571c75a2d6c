"""The events that the router makes: of a request that ends before any provider answered, and of one that is queued for
the background. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import orjson

from tokenbus_schemas import (
    ATTEMPT_STRIDE,
    Channel,
    ErrorBody,
    Event,
    RequestId,
    Tenant,
    encode,
    encode_message,
    response_id,
)
from tokenbus_translate import ResponseAssembly, ResponseHead
from tokenbus_translate.json_value import JsonObject
from tokenbus_translate.resource import response_resource

_NO_ECHO: Final[Mapping[str, object]] = MappingProxyType({})
_NOBODY: Final[JsonObject] = {"provider": None, "model": None, "api": None}
"""Of the resource's `tokenbus` object: nobody was asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for what, as far as the router knows."""

    tenant: Tenant
    request_id: RequestId
    channel: Channel
    model: str
    """The model ID of the request; empty where it named none."""
    accepted_at: float
    """The broker's timestamp of the request, Unix seconds."""
    announced: int = 0
    """Events of `announcement` that were published for it."""


class Ending(NamedTuple):
    """An ended response, ready for the bus."""

    line: bytes
    """The terminal event alone, for RESULTS."""
    message: bytes
    """The event message for the request's events subject, the terminal event last."""
    attempt: int


ANNOUNCED: Final = 2
"""Events in an announcement: `response.created` and `response.queued`, as OpenAI streams a background response."""


def announcement(asked: Asked, *, echo: Mapping[str, object], max_bytes: int) -> bytes:
    """The first event message of a background request, whose response is queued. `echo` as in `refused`."""
    message = _announcement(asked, echo=echo)
    return message if len(message) <= max_bytes else _announcement(asked, echo={"background": True})


def _announcement(asked: Asked, *, echo: Mapping[str, object]) -> bytes:
    fields = b',"response":' + orjson.dumps(standing(asked, status="queued", echo=echo))
    return encode_message([Event("response.created", fields), Event("response.queued", fields)], first=0)


def standing(asked: Asked, *, status: Literal["queued", "in_progress"], echo: Mapping[str, object]) -> JsonObject:
    """The response resource of a request that has not ended."""
    return response_resource(_head(asked, attempt=1, echo=echo), status=status, output=[], facts={"tokenbus": _NOBODY})


def refused(asked: Asked, *, error: ErrorBody, echo: Mapping[str, object] | None, max_bytes: int) -> Ending:
    """`response.failed`. `echo`, the normalised request, is left out where the message would pass `max_bytes`."""
    ending = failed(asked, attempt=1, error=error, echo=echo or _NO_ECHO)
    return ending if len(ending.message) <= max_bytes else failed(asked, attempt=1, error=error)


def failed(asked: Asked, *, attempt: int, error: ErrorBody, echo: Mapping[str, object] = _NO_ECHO) -> Ending:
    """`response.failed`, as an attempt of its own."""
    events = _assembly(asked, attempt=attempt, echo=echo).fail(error)
    return _numbered(events, asked=asked, attempt=attempt)


def cancelled(asked: Asked, *, attempt: int) -> Ending:
    """`response.incomplete` with status `cancelled`, as an attempt of its own."""
    events = _assembly(asked, attempt=attempt, echo=_NO_ECHO).cancel()
    return _numbered(events, asked=asked, attempt=attempt)


def _assembly(asked: Asked, *, attempt: int, echo: Mapping[str, object]) -> ResponseAssembly:
    assembly = ResponseAssembly(_head(asked, attempt=attempt, echo=echo), created=asked.announced > 0)
    assembly.extension = dict(_NOBODY)
    return assembly


def _head(asked: Asked, *, attempt: int, echo: Mapping[str, object]) -> ResponseHead:
    return ResponseHead(
        response_id=response_id(asked.request_id),
        model=asked.model,
        created_at=int(asked.accepted_at),
        echo=echo,
        provider="",
        upstream_model="",
        api="responses",
        attempt=attempt,
        request_id=asked.request_id,
    )


def _numbered(events: list[Event], *, asked: Asked, attempt: int) -> Ending:
    first = (attempt - 1) * ATTEMPT_STRIDE + (asked.announced if attempt == 1 else 0)
    line = encode(events[-1], first + len(events) - 1)
    return Ending(line, encode_message(events, first=first), attempt)
