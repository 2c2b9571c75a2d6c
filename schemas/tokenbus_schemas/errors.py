"""Error codes of the wire contract, and what each means for whoever meets it.

    RequestError    a request that can not be taken as it is; carries the `ErrorBody` its caller will read

On the wire a failed response holds `error: {code, message, param, type}`. `code` is one of OpenAI's closed list, so
that strict OpenAI types accept it; `type` is the Tokenbus code below, which says precisely what happened. Where it is
known when a retry may help, `retry_after` says it, in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

Fault = Literal["caller", "upstream", "tokenbus"]
Retry = Literal["never", "later", "elsewhere"]
"""`never`: the same request fails again. `later`: wait first. `elsewhere`: another target may answer at once."""
ResponseErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
"""The values of OpenAI's closed `response.error.code` that Tokenbus uses itself (openai 3.54, `ResponseError`)."""


class ErrorCode(StrEnum):
    """What went wrong. Additive: clients must treat an unknown code as `internal_error`."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    INVALID_VALUE = "invalid_value"
    UNKNOWN_PARAMETER = "unknown_parameter"
    MISSING_PARAMETER = "missing_required_parameter"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    UNSUPPORTED_VALUE = "unsupported_value"
    MODEL_NOT_FOUND = "model_not_found"
    PROVIDER_NOT_FOUND = "provider_not_found"
    INVALID_SUBJECT = "invalid_subject"
    INVALID_HEADER = "invalid_header"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    PAYLOAD_NOT_FOUND = "payload_not_found"
    PREVIOUS_RESPONSE_NOT_FOUND = "previous_response_not_found"
    RESPONSE_NOT_FOUND = "response_not_found"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CONTENT_FILTER = "content_filter"
    UPSTREAM_REFUSED = "upstream_refused"
    UPSTREAM_AUTHENTICATION = "upstream_authentication"
    UPSTREAM_RATE_LIMIT = "upstream_rate_limit"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_PROTOCOL = "upstream_protocol"
    UPSTREAM_CUT = "upstream_cut"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    EVENT_GAP_TIMEOUT = "event_gap_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    TARGET_UNAVAILABLE = "target_unavailable"
    OVERLOADED = "overloaded"
    EXECUTOR_LOST = "executor_lost"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    OUTPUT_TOO_LARGE = "output_too_large"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What an error code means: whose fault it is, whether a retry helps, and its form in OpenAI's APIs."""

    fault: Fault
    retry: Retry
    response_code: ResponseErrorCode
    http_status: int
    http_type: str
    meaning: str


def _caller(meaning: str, *, http_status: int = 400, http_type: str = "invalid_request_error") -> ErrorFacts:
    return ErrorFacts("caller", "never", "invalid_prompt", http_status, http_type, meaning)


def _upstream(meaning: str, *, retry: Retry = "elsewhere", http_status: int = 502) -> ErrorFacts:
    return ErrorFacts("upstream", retry, "server_error", http_status, "server_error", meaning)


def _ours(meaning: str, *, retry: Retry = "later", http_status: int = 500) -> ErrorFacts:
    return ErrorFacts("tokenbus", retry, "server_error", http_status, "server_error", meaning)


_RATE_LIMIT: Final = "rate_limit_exceeded"

ERRORS: Final[Mapping[ErrorCode, ErrorFacts]] = MappingProxyType(
    {
        ErrorCode.INVALID_JSON: _caller("The payload is not a JSON object."),
        ErrorCode.INVALID_REQUEST: _caller("The parts of the request contradict each other."),
        ErrorCode.INVALID_VALUE: _caller("A field has the wrong type or a value out of range."),
        ErrorCode.UNKNOWN_PARAMETER: _caller("A top-level field that Tokenbus does not know."),
        ErrorCode.MISSING_PARAMETER: _caller("A field that every request needs is absent."),
        ErrorCode.UNSUPPORTED_PARAMETER: _caller("The model, API mode or this version does not take the parameter."),
        ErrorCode.UNSUPPORTED_VALUE: _caller("The parameter is taken, this value of it is not."),
        ErrorCode.MODEL_NOT_FOUND: _caller("The catalog has no such model.", http_status=404),
        ErrorCode.PROVIDER_NOT_FOUND: _caller("The pinned provider does not serve the model.", http_status=404),
        ErrorCode.INVALID_SUBJECT: _caller("The subject names no valid tenant or class."),
        ErrorCode.INVALID_HEADER: _caller("A Tokenbus header has a value that can not be used."),
        ErrorCode.PAYLOAD_TOO_LARGE: _caller("The request is over the limit of Tokenbus.", http_status=413),
        ErrorCode.PAYLOAD_NOT_FOUND: _caller("The payload that the message refers to is not stored, or not any more."),
        ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND: _caller("No stored response of that id."),
        ErrorCode.RESPONSE_NOT_FOUND: _caller("No stored response of that id.", http_status=404),
        ErrorCode.CONTEXT_LENGTH_EXCEEDED: _caller("The provider says the input is longer than the model's context."),
        ErrorCode.CONTENT_FILTER: _caller("The provider refused the content."),
        ErrorCode.UPSTREAM_REFUSED: _caller("The provider refused the request as invalid."),
        ErrorCode.UPSTREAM_AUTHENTICATION: _upstream("The provider refused our credentials."),
        ErrorCode.UPSTREAM_RATE_LIMIT: ErrorFacts(
            "upstream", "later", _RATE_LIMIT, 429, "rate_limit_error", "The provider's rate limit or quota is used up."
        ),
        ErrorCode.UPSTREAM_UNAVAILABLE: _upstream("No connection to the provider, or it answered 5xx."),
        ErrorCode.UPSTREAM_ERROR: _upstream("The provider reported an error in its stream."),
        ErrorCode.UPSTREAM_PROTOCOL: _upstream("The provider sent something that is not its own protocol."),
        ErrorCode.UPSTREAM_CUT: _upstream("The provider's stream ended before the answer did."),
        ErrorCode.CONNECT_TIMEOUT: _upstream(
            "No connection to the provider within the connect budget.", http_status=504
        ),
        ErrorCode.FIRST_EVENT_TIMEOUT: _upstream("Nothing useful within the first-event budget.", http_status=504),
        ErrorCode.EVENT_GAP_TIMEOUT: _upstream("Nothing useful within the gap budget.", http_status=504),
        ErrorCode.DEADLINE_EXCEEDED: _ours("The request's time, queueing included, is up.", http_status=504),
        ErrorCode.TARGET_UNAVAILABLE: _ours(
            "No target can be used: a key is missing, or all are cooling down.", http_status=503
        ),
        ErrorCode.OVERLOADED: ErrorFacts(
            "tokenbus", "later", _RATE_LIMIT, 429, "rate_limit_error", "The queue or a limit is full."
        ),
        ErrorCode.EXECUTOR_LOST: _ours("The executor died after events were published.", http_status=502),
        ErrorCode.ATTEMPTS_EXHAUSTED: _ours("Whoever took up the request died or failed, too often.", retry="never"),
        ErrorCode.OUTPUT_TOO_LARGE: _ours("The answer is over the limit of the bus.", retry="never"),
        ErrorCode.INTERNAL_ERROR: _ours("An error of Tokenbus itself; its log has the detail."),
    }
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error as a caller reads it: `param` is the path of the field, such as `messages[2].content`, or None.

    `retry_after_s`: the earliest time at which the same request may do better, where that is known.
    """

    code: ErrorCode
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    @property
    def facts(self) -> ErrorFacts:
        return ERRORS[self.code]

    def to_wire(self) -> dict[str, str | float | None]:
        """The `error` object of a failed response."""
        advice = {} if self.retry_after_s is None else {"retry_after": round(self.retry_after_s, 3)}
        return {
            "code": self.facts.response_code,
            "message": self.message,
            "param": self.param,
            "type": self.code.value,
            **advice,
        }


class RequestError(Exception):
    """A request that can not be taken as it is; `body` says which field, what is wrong with it and what to do."""

    def __init__(self, code: ErrorCode, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.body = ErrorBody(code, message, param)
