"""Publishing a chat request: checked, bounded in time, safe to repeat."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic_core import to_json

from tokenbus.bus import Bus
from tokenbus.errors import (
    BusTimeoutError,
    InvalidRequestError,
    NoRouterError,
    NoStreamError,
    OverloadedError,
    PayloadTooLargeError,
    RequestTooLargeError,
    StreamFullError,
)
from tokenbus.upload import upload
from tokenbus_schemas import Channel, RequestHeaders, RequestId, parse_request_headers
from tokenbus_schemas.headers import MAX_TIMEOUT_S, PAYLOAD, TIMEOUT, TRACEPARENT, TRACESTATE

TRIES: Final = 3
ACK_TIMEOUT_S: Final = 2.0
ELECTION_S: Final = 1.0
"""How long a stream may have no leader before we say that there is none."""
RETRY_AFTER_S: Final = 1.0


class PreparedRequest(NamedTuple):
    """A chat request as it will stand on the bus, whole or in pieces."""

    request_id: RequestId
    subject: str
    payload: bytes
    headers: dict[str, str]
    timeout_s: float
    upload_subject: str
    """Where its pieces go, should it be over the limit of the bus."""
    may_resubmit: bool = False
    """Whether to run it twice would show nothing, where nothing of the first run was seen: it has no tools."""


def prepare(
    body: Mapping[str, object],
    *,
    request_id: RequestId,
    subject: str,
    upload_subject: str,
    channel: Channel,
    timeout_s: float,
) -> PreparedRequest:
    """Encodes a request; its trace context is the one that is current here.

    Pydantic models in the body, such as output items of the openai package, are taken as they are. Raises
    `InvalidRequestError` for a value that JSON has not, and for a timeout out of range.
    """
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InvalidRequestError(f"must be more than 0 and at most {MAX_TIMEOUT_S:g} seconds", param="timeout_s")
    try:
        payload = to_json(body)
    except ValueError as error:
        raise InvalidRequestError("holds a value that JSON has not; send plain data", param="request") from error
    trace: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(trace)
    headers = RequestHeaders(
        request_id=request_id,
        channel=channel,
        timeout_s=timeout_s,
        traceparent=trace.get(TRACEPARENT),
        tracestate=trace.get(TRACESTATE),
    )
    return PreparedRequest(
        request_id,
        subject,
        payload,
        headers.to_wire(),
        timeout_s,
        upload_subject,
        may_resubmit=not body.get("tools"),
    )


def again(request: PreparedRequest, *, resubmission: int, remaining_s: float) -> PreparedRequest:
    """The same request, for the n-th time after it was lost, with what is left of its time."""
    headers = replace(
        parse_request_headers(request.headers), resubmission=resubmission, timeout_s=max(0.001, remaining_s)
    )
    return request._replace(headers=headers.to_wire())


async def submit(bus: Bus, request: PreparedRequest, *, max_bytes: int) -> None:
    """Returns when the request is stored, and so accepted. One over the bus's limit goes in pieces, if it is not over
    `max_bytes`.

    A lost acknowledgement is answered by sending again: the router knows the request id and runs it once. Raises
    `RequestRefusedError` (its kinds say why; nothing runs), or `BusTimeoutError` and other `BusError`s when no try was
    acknowledged: then it may run.
    """
    try:
        await _publish(bus, request)
    except PayloadTooLargeError:  # nothing was sent; what fits pays nothing for what does not
        size = len(request.payload)
        if size > max_bytes:
            raise RequestTooLargeError(size, limit=max_bytes) from None
        ref = await upload(bus, request.payload, subject=request.upload_subject, timeout_s=request.headers[TIMEOUT])
        headers = {**request.headers, PAYLOAD: ref.to_wire()}
        await _publish(bus, request._replace(payload=b"", headers=headers))


async def _publish(bus: Bus, request: PreparedRequest) -> None:
    unknown: BusTimeoutError | None = None
    for _ in range(TRIES):
        try:
            await bus.publish_stored(
                request.subject,
                request.payload,
                headers=request.headers,
                timeout_s=ACK_TIMEOUT_S,
                retry_for_s=ELECTION_S,
            )
        except BusTimeoutError as error:
            unknown = error
        except StreamFullError as error:
            raise unknown or OverloadedError(retry_after_s=RETRY_AFTER_S) from error
        except NoStreamError as error:
            raise unknown or NoRouterError(request.subject) from error
        else:
            return
    assert unknown is not None
    raise unknown
