"""What a failure of a target means: for this request, and for the target.

| what failed                        | this request                         | the target                         |
|------------------------------------|--------------------------------------|------------------------------------|
| the request is at fault            | ends, unless another API can say it  | nothing                            |
| not configured here                | next target                          | nothing: elsewhere it may be       |
| its queue is full                  | next target                          | nothing                            |
| 429 with time left                 | next target, else again after a wait | cools down for as long as it says  |
| 429 for good (quota), wrong key    | next target                          | cools down                         |
| 408, 409, 5xx, error, cut          | next target, else again after a wait | cools down after several in a row, |
|                                    |                                      | or for as long as it says          |
| silence, no connection, no sense   | next target                          | cools down after several in a row  |
| anything after the commit point    | ends, with what was answered         | as above                           |

A wait for the same target is worth it only where the failure came fast; budgets of seconds are not spent twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tokenbus_schemas import ErrorBody, ErrorCode, RequestError
from tokenbus_translate import UpstreamFailure


@dataclass(frozen=True, slots=True)
class FailureRule:
    """A row of the table."""

    again: bool = False
    """Whether the same target may do better in a moment."""
    cools: Literal["never", "when repeated", "at once"] = "never"


_NOTHING: Final = FailureRule()
_PASSING: Final = FailureRule(again=True, cools="when repeated")
_SLOW: Final = FailureRule(cools="when repeated")
_SHUT: Final = FailureRule(cools="at once")

RULES: Final[Mapping[ErrorCode, FailureRule]] = MappingProxyType(
    {
        ErrorCode.UPSTREAM_RATE_LIMIT: FailureRule(again=True, cools="at once"),
        ErrorCode.UPSTREAM_AUTHENTICATION: _SHUT,
        ErrorCode.UPSTREAM_UNAVAILABLE: _PASSING,
        ErrorCode.UPSTREAM_ERROR: _PASSING,
        ErrorCode.UPSTREAM_CUT: _PASSING,
        ErrorCode.UPSTREAM_PROTOCOL: _SLOW,
        ErrorCode.CONNECT_TIMEOUT: _SLOW,
        ErrorCode.FIRST_EVENT_TIMEOUT: _SLOW,
        ErrorCode.EVENT_GAP_TIMEOUT: _SLOW,
    }
)
"""Codes that are not here mean nothing for the target."""

# OpenAI's words for an empty purse (https://platform.openai.com/docs/guides/error-codes, 2026-08-21): they come as 429,
# and no wait helps.
_FOR_GOOD: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_PAYMENT_REQUIRED: Final = 402


def rule_of(failure: UpstreamFailure) -> FailureRule:
    """The row of a failure."""
    if failure.provider_code in _FOR_GOOD or failure.status == _PAYMENT_REQUIRED:
        return _SHUT
    return RULES.get(failure.code, _NOTHING)


class TargetFailure(NamedTuple):
    """Why a target did not answer one request."""

    error: ErrorBody
    elsewhere: bool
    """Whether another target may answer."""
    again: bool = False
    """Whether this one may, after a wait."""
    retry_after_s: float | None = None
    """The wait that the provider asked for."""

    @classmethod
    def of_upstream(cls, failure: UpstreamFailure) -> "TargetFailure":
        return cls(failure.error, failure.retry_elsewhere, rule_of(failure).again, failure.retry_after_s)

    @classmethod
    def of_request(cls, error: RequestError) -> "TargetFailure":
        """The target's API can not say what was asked; another one's may."""
        return cls(error.body, elsewhere=True)
