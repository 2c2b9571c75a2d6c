"""The events of a request that ends before any provider answered: created, in_progress, and the end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

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

_NO_ECHO: Final[Mapping[str, object]] = MappingProxyType({})


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


class Ending(NamedTuple):
    """An ended response, ready for the bus."""

    line: bytes
    """The terminal event alone, for RESULTS."""
    message: bytes
    """The event message for the request's events subject, the terminal event last."""
    attempt: int


def refused(asked: Asked, *, error: ErrorBody, echo: Mapping[str, object] | None, max_bytes: int) -> Ending:
    """`response.failed`. `echo`, the normalised request, is left out where the message would pass `max_bytes`."""
    ending = failed(asked, attempt=1, error=error, echo=echo or _NO_ECHO)
    return ending if len(ending.message) <= max_bytes else failed(asked, attempt=1, error=error)


def failed(asked: Asked, *, attempt: int, error: ErrorBody, echo: Mapping[str, object] = _NO_ECHO) -> Ending:
    """`response.failed`, as an attempt of its own."""
    events = _assembly(asked, attempt=attempt, echo=echo).fail(error)
    return _numbered(events, attempt=attempt)


def cancelled(asked: Asked, *, attempt: int) -> Ending:
    """`response.incomplete` with status `cancelled`, as an attempt of its own."""
    events = _assembly(asked, attempt=attempt, echo=_NO_ECHO).cancel()
    return _numbered(events, attempt=attempt)


def _assembly(asked: Asked, *, attempt: int, echo: Mapping[str, object]) -> ResponseAssembly:
    head = ResponseHead(
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
    assembly = ResponseAssembly(head)
    assembly.extension = {"provider": None, "model": None, "api": None}  # nobody was asked
    return assembly


def _numbered(events: list[Event], *, attempt: int) -> Ending:
    first = (attempt - 1) * ATTEMPT_STRIDE
    line = encode(events[-1], first + len(events) - 1)
    return Ending(line, encode_message(events, first=first), attempt)
