"""Errors as clients of OpenAI's APIs read them: over HTTP, inside a stream, and on a WebSocket.

RefusedError    the request gets an error instead of an answer; carries the `ApiError`

The strings are OpenAI's where its clients look at them (Open Responses 2026-04-24; openai 3.54); the codes are
those of `tokenbus_schemas.ERRORS`.
"""

import math
from dataclasses import dataclass
from typing import Final

import orjson

from tokenbus.errors import (
    AnswerLostError,
    BusError,
    CallRefusedError,
    OverloadedError,
    RequestRefusedError,
    TokenbusError,
)
from tokenbus_schemas import ERRORS, ErrorBody, ErrorCode, RequestError
from tokenbus_translate.json_value import as_object, as_text

_RETRY_AFTER_S: Final = 1.0
_INVALID: Final = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class ApiError:
    """One error, in every form it may be told in."""

    status: int
    """The HTTP status, where there still is one to send."""
    type: str
    code: str | None
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    def fields(self) -> dict[str, object]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> bytes:
        """Of an HTTP response, and of the chunk that ends a broken chat stream."""
        return orjson.dumps({"error": self.fields()})

    def event(self, sequence_number: int) -> bytes:
        """A stream's `error` event. OpenAI documents it flat and sends it nested, and clients exist for either
        , so it is both.
        """
        flat = {"code": self.code, "message": self.message, "param": self.param}
        return orjson.dumps({"type": "error", "sequence_number": sequence_number, **flat, "error": self.fields()})

    def frame(self) -> bytes:
        """A WebSocket's error message."""
        return orjson.dumps({"type": "error", "status": self.status, "error": self.fields()})

    def headers(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after_s is None:
            return []
        # Whole seconds are all that HTTP has; OpenAI's SDKs look for milliseconds first.
        return [
            (b"retry-after", b"%d" % math.ceil(self.retry_after_s)),
            (b"retry-after-ms", b"%d" % round(self.retry_after_s * 1000)),
        ]


class RefusedError(Exception):
    """The request gets this error instead of an answer."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def no_key() -> ApiError:
    return ApiError(
        401, _INVALID, None, "no API key was given; send it in the header Authorization: Bearer <key or LiveKit token>"
    )


def bad_key(problem: str) -> ApiError:
    """`problem` never quotes the key."""
    return ApiError(401, _INVALID, "invalid_api_key", problem)


def response_not_found(response_id: str) -> ApiError:
    shown = response_id if len(response_id) <= 80 else response_id[:77] + "..."
    return ApiError(
        404, _INVALID, None, f"Response with id {shown!r} not found. It may have expired, or belong to another key."
    )


def rate_limited(what: str, *, retry_after_s: float) -> ApiError:
    message = f"Rate limit reached: {what}. Try again in {retry_after_s:.2f} s."
    return ApiError(429, "rate_limit_error", "rate_limit_exceeded", message, retry_after_s=retry_after_s)


CANCELLED: Final = ApiError(499, _INVALID, "cancelled", "the request was cancelled before its answer was whole")
"""LiveKit's clients end quietly on 499 and do not retry (livekit-agents 1.8.9)."""


def api_error(body: ErrorBody) -> ApiError:
    """An error of the wire contract."""
    facts = body.facts
    waits = facts.retry == "later" and facts.http_status in (429, 503)
    retry_after_s = _RETRY_AFTER_S if body.retry_after_s is None else body.retry_after_s
    return ApiError(
        facts.http_status,
        facts.http_type,
        body.code.value,
        body.message,
        body.param,
        retry_after_s if waits else None,
    )


BEGUN_ANEW: Final = api_error(
    ErrorBody(
        ErrorCode.UPSTREAM_CUT,
        "the answer broke and was begun anew, which a chat stream can not show: send the request again, or stream "
        "/v1/responses",
    )
)


def response_error(raw: object) -> ApiError:
    """The `error` of a failed response, as the bus has it."""
    error = as_object(raw) or {}
    try:
        code = ErrorCode(str(error.get("type")))
    except ValueError:  # a newer executor's code: clients must take it for this one
        code = ErrorCode.INTERNAL_ERROR
    return api_error(
        ErrorBody(
            code,
            as_text(error.get("message")) or ERRORS[code].meaning,
            as_text(error.get("param")),
            _seconds(error.get("retry_after")),
        )
    )


def raised_error(error: Exception) -> ApiError:
    """What went wrong on our side of the bus, or in reading the request."""
    match error:
        case RefusedError():
            return error.error
        case OverloadedError():
            return api_error(error.body)
        case RequestError() | RequestRefusedError():
            return api_error(error.body)
        case CallRefusedError():
            param = error.param if isinstance(error.param, str) else None
            return api_error(ErrorBody(error.code, error.message, param))
        case AnswerLostError():
            return _told(ErrorCode.DEADLINE_EXCEEDED, "the answer did not end in time; send the request again")
        case BusError():
            return _told(ErrorCode.TARGET_UNAVAILABLE, "the bus does not answer just now; send the request again")
        case TokenbusError():
            return _told(ErrorCode.INTERNAL_ERROR, "a service gave an answer that can not be used")
        case _:
            return _told(ErrorCode.INTERNAL_ERROR, ERRORS[ErrorCode.INTERNAL_ERROR].meaning)


def internal_error(message: str) -> RefusedError:
    return RefusedError(_told(ErrorCode.INTERNAL_ERROR, message))


def _seconds(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _told(code: ErrorCode, message: str) -> ApiError:
    return api_error(ErrorBody(code, message))
