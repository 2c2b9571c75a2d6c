"""What goes wrong at an upstream, in our terms: one error code, and whether another target may do better.

A provider reports errors as an HTTP status with a body, as an error event, as a failed response, or as an error in a
chunk. Its own code says most, then the status, then nothing. Only its message is quoted, shortened; where the error is
about credentials not even that, because providers quote keys there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tokenbus_schemas import ERRORS, ErrorBody, ErrorCode
from tokenbus_translate.json_value import as_object, as_objects, as_text

_MAX_MESSAGE: Final = 500

_BY_STATUS: Final[Mapping[int, ErrorCode]] = MappingProxyType(
    {
        401: ErrorCode.UPSTREAM_AUTHENTICATION,
        402: ErrorCode.UPSTREAM_RATE_LIMIT,  # credits used up: https://openrouter.ai/docs/errors (2026-11-22)
        403: ErrorCode.UPSTREAM_AUTHENTICATION,
        408: ErrorCode.UPSTREAM_UNAVAILABLE,
        409: ErrorCode.UPSTREAM_UNAVAILABLE,
        425: ErrorCode.UPSTREAM_UNAVAILABLE,
        429: ErrorCode.UPSTREAM_RATE_LIMIT,
    }
)

# OpenAI's error codes and `response.error.code` (openai 3.54, `ResponseError`); the last rows are words of Azure and
# Anthropic, which compatible gateways repeat.
_BY_PROVIDER_CODE: Final[Mapping[str, ErrorCode]] = MappingProxyType(
    {
        "rate_limit_exceeded": ErrorCode.UPSTREAM_RATE_LIMIT,
        "insufficient_quota": ErrorCode.UPSTREAM_RATE_LIMIT,
        "billing_hard_limit_reached": ErrorCode.UPSTREAM_RATE_LIMIT,
        "invalid_api_key": ErrorCode.UPSTREAM_AUTHENTICATION,
        "context_length_exceeded": ErrorCode.CONTEXT_LENGTH_EXCEEDED,
        "content_filter": ErrorCode.CONTENT_FILTER,
        "content_policy_violation": ErrorCode.CONTENT_FILTER,
        "image_content_policy_violation": ErrorCode.CONTENT_FILTER,
        "bio_policy": ErrorCode.CONTENT_FILTER,
        "misalignment_policy_violation": ErrorCode.CONTENT_FILTER,
        "invalid_prompt": ErrorCode.UPSTREAM_REFUSED,
        "invalid_request_error": ErrorCode.UPSTREAM_REFUSED,
        "server_error": ErrorCode.UPSTREAM_ERROR,
        "rate_limit_error": ErrorCode.UPSTREAM_RATE_LIMIT,
        "too_many_requests": ErrorCode.UPSTREAM_RATE_LIMIT,
        "authentication_error": ErrorCode.UPSTREAM_AUTHENTICATION,
        "permission_error": ErrorCode.UPSTREAM_AUTHENTICATION,
        "server_is_overloaded": ErrorCode.UPSTREAM_UNAVAILABLE,
        "overloaded_error": ErrorCode.UPSTREAM_UNAVAILABLE,
    }
)

_VAGUE: Final = frozenset({ErrorCode.UPSTREAM_REFUSED, ErrorCode.UPSTREAM_ERROR})

# The caller is not at fault and no other request will fare better here, but another target may know the model.
_ELSEWHERE_ALTHOUGH_REFUSED: Final = frozenset({"model_not_found", "unsupported_country_region_territory"})


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """Why an upstream gave no answer, or no whole one."""

    code: ErrorCode
    message: str
    """Safe to show: our words, with the provider's own message where it had one."""
    retry_elsewhere: bool
    status: int | None = None
    provider_code: str | None = None
    retry_after_s: float | None = None

    @property
    def error(self) -> ErrorBody:
        """The error a caller reads when no target is left."""
        return ErrorBody(self.code, self.message, retry_after_s=self.retry_after_s)


def failure(code: ErrorCode, message: str) -> UpstreamFailure:
    """A failure that the provider did not report: a cut, a timeout, a broken protocol."""
    return UpstreamFailure(code, message, retry_elsewhere=ERRORS[code].fault == "upstream")


def reported_failure(
    error: object, *, status: int | None = None, retry_after_s: float | None = None
) -> UpstreamFailure:
    """A failure that the provider reported.

    `error` is the parsed body of an HTTP error, an error event (nested or flat), the `error` of a failed response, or
    None where there is none. `status` is the HTTP status; without one, a numeric code stands in for it.
    """
    body = as_object(error) or {}
    # Telnyx has a list of errors: https://developers.telnyx.com/api/errors (2026).
    details = as_object(body.get("error")) or next(iter(as_objects(body.get("errors"))), body)
    words = [word for key in ("code", "type") if (word := as_text(details.get(key))) and word != "error"]
    number = details.get("code")
    if status is None and (isinstance(number, int) or (isinstance(number, str) and number.isdecimal())):
        status = int(number) if 100 <= int(number) < 600 else None
    code = _code(words, status)
    provider_code = words[0] if words else None
    elsewhere = ERRORS[code].fault == "upstream" or status == 404 or not _ELSEWHERE_ALTHOUGH_REFUSED.isdisjoint(words)
    text = as_text(details.get("message")) or as_text(body.get("error")) or as_text(details.get("detail"))
    return UpstreamFailure(code, _message(code, text, status), elsewhere, status, provider_code, retry_after_s)


def _code(words: list[str], status: int | None) -> ErrorCode:
    known = [_BY_PROVIDER_CODE[word] for word in words if word in _BY_PROVIDER_CODE]
    by_status = None
    if status is not None:
        by_status = _BY_STATUS.get(status)
        if by_status is None and 400 <= status < 500:
            by_status = ErrorCode.UPSTREAM_REFUSED
        elif by_status is None and status >= 500:
            by_status = ErrorCode.UPSTREAM_UNAVAILABLE
    # "invalid_request_error" comes with every 4xx of OpenAI, a wrong key's included, and "server_error" with every 5xx:
    # the status is more precise, unless it blames the request for what the words call an error of the server.
    if known and (by_status in (None, ErrorCode.UPSTREAM_REFUSED) or known[0] not in _VAGUE):
        return known[0]
    if by_status is not None:
        return by_status
    return ErrorCode.UPSTREAM_REFUSED if "model_not_found" in words else ErrorCode.UPSTREAM_ERROR


def _message(code: ErrorCode, text: str | None, status: int | None) -> str:
    place = "the provider" if status is None else f"the provider (status {status})"
    if code is ErrorCode.UPSTREAM_AUTHENTICATION:
        return f"{place} refused our credentials; check the key of this provider"
    if not text:
        return f"{place} reported an error without a message"
    return f"{place} reported: {text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + '…'}"
