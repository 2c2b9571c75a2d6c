"""Everything `tokenbus` raises.

TokenbusError
├── BusError                        the bus did not do what was asked
│   ├── BusUnavailableError         no connection could be made
│   ├── BusClosedError              used after it was closed
│   ├── BusTimeoutError             no answer in time; what happened is unknown
│   ├── BusOverflowError            too much is waiting to be sent; nothing of this message was
│   ├── PayloadTooLargeError        over the server's limit; not sent
│   ├── NoRespondersError           nobody listens on the subject
│   │   └── NoStreamError           no stream answers: it does not exist, or is electing a leader
│   └── BusRefusedError             the server said no; nothing was changed
│       ├── NotFoundError           stream, consumer or message does not exist
│       ├── StreamFullError         a limit of the stream is reached
│       └── WrongLastSequenceError  compare and set lost against another writer
├── RequestRefusedError             the request was not accepted; nothing of it runs
│   ├── InvalidRequestError         it can not be sent as it is
│   ├── RequestTooLargeError        over the largest size of a request
│   ├── OverloadedError             the queue is full; says when to retry
│   └── NoRouterError               nothing takes requests on the subject
├── ResponseFailedError             accepted, and ended in response.failed; carries the response
├── AnswerLostError                 accepted, and its end did not come by the deadline
├── UnknownRequestError             no trace of the request that was to be watched
├── TextLostError                   the text that was shown is not the beginning of the final text
├── CallRefusedError                a service refused a replay, control or models call
└── ContractError                   a service sent something that is not of the wire contract
"""

from collections.abc import Mapping, Sequence

from tokenbus_schemas import ERRORS, ErrorBody, ErrorCode, ErrorFacts, RequestId, Response


class TokenbusError(Exception):
    """Base of all errors of this package."""


class BusError(TokenbusError):
    """The bus did not do what was asked."""


class BusUnavailableError(BusError):
    """No connection within the time given. Attributes: `servers` (without secrets), `waited_s`, `reason`."""

    def __init__(self, servers: Sequence[str], *, waited_s: float, reason: str) -> None:
        self.servers = tuple(servers)
        self.waited_s = waited_s
        self.reason = reason
        super().__init__(
            f"no connection to NATS at {', '.join(servers)} after {waited_s:.1f} s ({reason}); "
            "check that the server runs there and that address and login are right"
        )


class BusClosedError(BusError):
    """The bus is closed, or closing; open a new one."""

    def __init__(self) -> None:
        super().__init__("the bus is closed; open a new one with Bus.connect()")


class BusTimeoutError(BusError):
    """No answer in time; what was asked may have happened. Attributes: `operation`, `timeout_s`."""

    def __init__(self, operation: str, *, timeout_s: float) -> None:
        self.operation = operation
        self.timeout_s = timeout_s
        super().__init__(f"{operation}: no answer within {timeout_s:g} s; its outcome is unknown")


class BusOverflowError(BusError):
    """Disconnected or stalled, and the outbound buffer is full; the message was not taken. Retry after a while."""

    def __init__(self, *, waiting_bytes: int) -> None:
        self.waiting_bytes = waiting_bytes
        super().__init__(f"{waiting_bytes} bytes wait to be sent and the server does not take them; retry later")


class PayloadTooLargeError(BusError):
    """Payload and headers together are over the server's max_payload. Attributes, in bytes: `size`, `max_payload`."""

    def __init__(self, size: int, max_payload: int) -> None:
        self.size = size
        self.max_payload = max_payload
        super().__init__(f"payload and headers are {size} bytes; the NATS server takes {max_payload} (max_payload)")


class NoRespondersError(BusError):
    """Nobody listens on the subject right now; nothing happened, so a retry is safe. Attribute: `subject`."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        super().__init__(f"nobody answers on {subject}; is the service that serves it running?")


class NoStreamError(NoRespondersError):
    """No stream answers on the subject: it does not exist, or is electing a leader. Nothing was stored."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.args = (f"no stream answers on {subject}; it does not exist, or is electing a leader just now",)


class BusRefusedError(BusError):
    """The server refused. Attributes: `operation`, `code` (JetStream's err_code or 0), `description` (its words)."""

    def __init__(self, operation: str, *, code: int, description: str) -> None:
        self.operation = operation
        self.code = code
        self.description = description
        super().__init__(f"{operation}: refused by the server: {description} (code {code})")


class NotFoundError(BusRefusedError):
    """The stream, consumer or message does not exist."""


class StreamFullError(BusRefusedError):
    """The stream takes no more messages or bytes, in all or on this subject; retry later or refuse the work."""


class WrongLastSequenceError(BusRefusedError):
    """Another writer came first. Attribute: `actual`, the last sequence on the subject, or None if not told."""

    def __init__(self, operation: str, *, code: int, description: str, actual: int | None) -> None:
        super().__init__(operation, code=code, description=description)
        self.actual = actual


class RequestRefusedError(TokenbusError):
    """The request was not accepted: nothing of it runs or will run. `body` says why; `code` is its error code."""

    def __init__(self, body: ErrorBody) -> None:
        self.body = body
        super().__init__(body.message)

    @property
    def code(self) -> ErrorCode:
        return self.body.code


class InvalidRequestError(RequestRefusedError):
    """It can not be sent as it is; `body.param` names the argument."""

    def __init__(self, problem: str, *, param: str) -> None:
        super().__init__(ErrorBody(ErrorCode.INVALID_VALUE, f"{param}: {problem}", param))


class RequestTooLargeError(RequestRefusedError):
    """It is over the largest size that this client sends. Attributes, in bytes: `size`, `limit`."""

    def __init__(self, size: int, *, limit: int) -> None:
        self.size = size
        self.limit = limit
        message = (
            f"the request is {size} bytes and the limit is {limit}; send less input, link files instead of embedding "
            "them, or raise the limit of this client and of the routers (request_max_bytes)"
        )
        super().__init__(ErrorBody(ErrorCode.PAYLOAD_TOO_LARGE, message))


class OverloadedError(RequestRefusedError):
    """The tenant's queue of requests is full, or the whole stream. Attribute: `retry_after_s`, when to try again."""

    def __init__(self, *, retry_after_s: float, full: str = "the request queue") -> None:
        self.retry_after_s = retry_after_s
        message = f"{full} is full; send it again after {retry_after_s:g} s, and wait longer each time"
        super().__init__(ErrorBody(ErrorCode.OVERLOADED, message, retry_after_s=retry_after_s))


class NoRouterError(RequestRefusedError):
    """No stream takes requests on the subject. Attribute: `subject`."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        message = f"nothing takes requests on {subject}; is the router running, with this root?"
        super().__init__(ErrorBody(ErrorCode.TARGET_UNAVAILABLE, message))


class ResponseFailedError(TokenbusError):
    """The answer ended in `response.failed`. `response` holds what there is of it, `message` and `param` the reason.

    `code` says what happened, `facts` whose fault it is and whether a retry helps, `retry_after_s` when it may, if that
    is known. A code that this version does not know counts as `internal_error`.
    """

    def __init__(self, response: Response) -> None:
        error = response.error
        self.response = response
        self.code = _known_code(error.type if error is not None else None)
        self.message = error.message if error is not None else "the failed response gives no reason"
        self.param = error.param if error is not None else None
        self.retry_after_s = error.retry_after if error is not None else None
        super().__init__(f"{self.code}: {self.message}")

    @property
    def facts(self) -> ErrorFacts:
        return ERRORS[self.code]


class AnswerLostError(TokenbusError):
    """The request was accepted, and there is no terminal event to wait for. Attributes: `request_id`, `state`.

    Its time is long up, or NATS has lost it with its store, and to send it again by ourselves was not safe. `state` is
    what the replay service last said (`unknown`: no trace is left of it); None if it never answered.
    """

    def __init__(self, request_id: RequestId, *, state: str | None) -> None:
        self.request_id = request_id
        self.state = state
        said = "did not answer" if state is None else f"says {state!r}"
        super().__init__(
            f"request {request_id}: no end of the answer came in time, and the replay service {said}; check that "
            "router and executors run, then send the request again"
        )


class UnknownRequestError(TokenbusError):
    """No such request of this tenant, or its answer is no longer kept. Attribute: `request_id`."""

    def __init__(self, request_id: RequestId) -> None:
        self.request_id = request_id
        super().__init__(
            f"request {request_id} is not known; check id and tenant (answers are kept for a limited time)"
        )


class TextLostError(TokenbusError):
    """Events were lost for good, and the text shown so far is not the beginning of the final one, in `response`."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__("part of the text was lost on the way; show the final text (`response.output_text`) instead")


class CallRefusedError(TokenbusError):
    """A service answered a replay, control or models call with an error; `facts` says whether to ask again helps.

    Attributes: `subject`, `code`, `message`, `param`.
    """

    def __init__(self, subject: str, *, error: Mapping[str, object]) -> None:
        self.subject = subject
        self.code = _known_code(error.get("type"))
        self.message = str(error.get("message") or "it gives no reason")
        self.param = error.get("param")
        super().__init__(f"{subject}: {self.message}")

    @property
    def facts(self) -> ErrorFacts:
        return ERRORS[self.code]


class ContractError(TokenbusError):
    """A service sent something that is not of the wire contract. Attributes: `what`, `problems` (how many)."""

    def __init__(self, what: str, *, problems: int) -> None:
        self.what = what
        self.problems = problems
        super().__init__(f"{what} does not fit the wire contract ({problems} problems); do the versions match?")


def _known_code(code: object) -> ErrorCode:
    return next((known for known in ErrorCode if known == code), ErrorCode.INTERNAL_ERROR)
