"""Headers of request, work and terminal messages. Token events carry none: at one token per message, three headers
cost more than the token (measured: 136 bytes beside a delta of 191).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import digits
from typing import Final

from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.subjects import DEFAULT_CHANNEL, Channel, InvalidTokenError, RequestId, channel, request_id

REQUEST_ID: Final = "Tokenbus-Request-Id"
CHANNEL: Final = "Tokenbus-Channel"
TIMEOUT: Final = "Tokenbus-Timeout"
RESUBMISSION: Final = "Tokenbus-Resubmission"
VERSION: Final = "Tokenbus-Version"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
PAYLOAD: Final = "Tokenbus-Payload"
"""On requests and work: what they hold is stored in pieces, and this refers to it (`payloads.py`)."""
PIECE: Final = "Tokenbus-Piece"
"""On a piece of a payload: which one."""
REASON: Final = "Tokenbus-Reason"
"""On messages in DEAD: why it could not be processed."""
ORIGIN: Final = "Tokenbus-Origin"
"""On messages in DEAD: the subject it came from."""

HANDED_ON: Final = (CHANNEL, PAYLOAD, TRACEPARENT, TRACESTATE)
"""Headers of work that go with it wherever it moves."""

WIRE_VERSION: Final = "1"
MAX_TIMEOUT_S: Final = 3600.0
TIMEOUT_PATTERN: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?"
"""Of the header's text."""

_DECIMAL: Final = re.compile(TIMEOUT_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """The headers of a chat request, checked."""

    request_id: RequestId
    channel: Channel = DEFAULT_CHANNEL
    timeout_s: float | None = None
    """Seconds from the broker's timestamp of the message until the request expires; None: the router's default."""
    traceparent: str | None = None
    tracestate: str | None = None
    resubmission: int = 0
    """How often it was sent before under its id: each time is a later attempt at the same request."""

    def to_wire(self) -> dict[str, str]:
        headers = {REQUEST_ID: str(self.request_id), VERSION: WIRE_VERSION}
        if self.channel != DEFAULT_CHANNEL:
            headers[CHANNEL] = str(self.channel)
        if self.timeout_s is not None:
            headers[TIMEOUT] = f"{self.timeout_s:.6f}".rstrip("0").rstrip(".")
        if self.resubmission:
            headers[RESUBMISSION] = str(self.resubmission)
        if self.traceparent is not None:
            headers[TRACEPARENT] = self.traceparent
        if self.tracestate is not None:
            headers[TRACESTATE] = self.tracestate
        return headers


def _header_error(name: str, problem: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_HEADER, f"header {name}: {problem}", param=name)


def parse_identity(headers: Mapping[str, str]) -> tuple[RequestId, Channel]:
    """Where answers go.

    Raises `RequestError` (`invalid_header`) for a missing or unusable request id or channel: such a message can not be
    answered and goes to DEAD.
    """
    raw_id = headers.get(REQUEST_ID)
    if raw_id is None:
        raise _header_error(REQUEST_ID, "is missing; send a random id of 1 to 64 characters of A-Z, a-z, 0-9, '_', '-'")
    try:
        return request_id(raw_id), channel(headers.get(CHANNEL, DEFAULT_CHANNEL))
    except InvalidTokenError as error:
        name = CHANNEL if error.name == "channel" else REQUEST_ID
        raise _header_error(name, str(error)) from error


def parse_request_headers(headers: Mapping[str, str]) -> RequestHeaders:
    """All headers of a request. Raises `RequestError` (`invalid_header`), naming the header and the fix."""
    identity, answers_to = parse_identity(headers)
    version = headers.get(VERSION, WIRE_VERSION)
    if version != WIRE_VERSION:
        raise _header_error(VERSION, f"{version[:40]!r} is not supported; this router speaks version {WIRE_VERSION}")
    return RequestHeaders(
        request_id=identity,
        channel=answers_to,
        timeout_s=_timeout(headers.get(TIMEOUT)),
        resubmission=_resubmission(headers.get(RESUBMISSION, "0")),
        traceparent=headers.get(TRACEPARENT),
        tracestate=headers.get(TRACESTATE),
    )


def _resubmission(text: str) -> int:
    if len(text) != 1 or text not in digits:
        raise _header_error(RESUBMISSION, f"{text[:40]!r} must be one digit")
    return int(text)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    timeout_s = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise _header_error(
            TIMEOUT, f"{text[:40]!r} must be seconds as 30 or 2.5, more than 0 and at most {MAX_TIMEOUT_S:g}"
        )
    return timeout_s
