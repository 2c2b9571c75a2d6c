"""Faults: the ways an upstream fails, and what each does to a prepared answer.

A fault is about behaviour in time: what is sent, when it stops, how the connection ends. What an upstream that works
writes differently from OpenAI is a quirk (`quirks.py`).
"""

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from tokenbus_simulator.wire import Frame, JsonObject


class Fault(enum.StrEnum):
    """What goes wrong. "after" counts tokens (`Script.after`); with 0 only the opening events get through:
    `response.created` and `response.in_progress`, or the chunk that carries nothing but the role."""

    BAD_REQUEST = "400"
    BAD_KEY = "401"
    FORBIDDEN = "403"
    NO_MODEL = "404"
    TIMEOUT = "408"
    CONFLICT = "409"
    RATE_LIMIT = "429"
    """Too many requests, with `Retry-After`."""
    QUOTA = "quota"
    """429 again, but no money left: waiting does not help, so there is no `Retry-After`."""
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    """The HTML page of a proxy in between."""
    OVERLOADED = "503"

    SILENT = "silent"
    """Takes the request and never sends a byte."""
    HEADERS = "headers"
    """Sends the response headers, then nothing."""
    COMMENTS = "comments"
    """Sends the response headers, then SSE comments (a plain answer: blank lines) for ever."""
    STALL = "stall"
    """Falls silent after `after` tokens."""
    EMPTIES = "empties"
    """Like `stall`, but the last opening event is repeated for ever: life without progress."""
    DRIP = "drip"
    """Works, at 0.8 tokens a second unless the script sets a rate."""

    ERROR = "error"
    """After `after` tokens the error event production sends (nested `error` object), then `response.failed`."""
    ERROR_FLAT = "error-flat"
    """The same with the flat error event of OpenAI's reference; in chat the error object older vLLM sends."""
    FAILED = "failed"
    """After `after` tokens `response.failed` alone; in chat the same as `error`."""
    MALFORMED = "malformed"
    """The first event after `after` tokens is broken JSON; the rest follows as if nothing had happened."""
    CUT = "cut"
    """The connection is closed after `after` tokens, inside the HTTP body."""
    RESET = "reset"
    """Like `cut`, with a TCP reset."""
    EOF = "eof"
    """The HTTP body ends properly after `after` tokens, without finish or terminal event."""


class Ending(enum.Enum):
    """What happens to the connection when everything is written."""

    FINISH = enum.auto()
    """The HTTP body ends as it should; the connection may be used again."""
    HANG = enum.auto()
    """Nothing, until the client goes away."""
    CUT = enum.auto()
    """Closed inside the body, after what was written has been sent."""
    RESET = enum.auto()
    """Closed with a TCP reset."""


class ErrorReply(NamedTuple):
    """An HTTP error answer; `waitable` ones carry `Retry-After`."""

    status: int
    type: str
    code: str | None
    message: str
    waitable: bool = False

    def error(self, *, param: str | None = None) -> JsonObject:
        """The error object, as it stands in an HTTP body and in error events."""
        return {"message": self.message, "type": self.type, "param": param, "code": self.code}


# https://developers.openai.com/api/docs/guides/error-codes (2026-08): statuses and codes; messages shortened.
ERROR_REPLIES: Final[Mapping[Fault, ErrorReply]] = MappingProxyType(
    {
        Fault.BAD_REQUEST: ErrorReply(400, "invalid_request_error", None, "We could not parse your request."),
        Fault.BAD_KEY: ErrorReply(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        Fault.FORBIDDEN: ErrorReply(403, "invalid_request_error", "model_not_allowed", "Not allowed for this project."),
        Fault.NO_MODEL: ErrorReply(404, "invalid_request_error", "model_not_found", "The model does not exist."),
        Fault.TIMEOUT: ErrorReply(408, "server_error", "request_timeout", "The request took too long."),
        Fault.CONFLICT: ErrorReply(409, "invalid_request_error", "conflict", "The resource was updated meanwhile."),
        Fault.RATE_LIMIT: ErrorReply(429, "tokens", "rate_limit_exceeded", "Rate limit reached.", waitable=True),
        Fault.QUOTA: ErrorReply(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
        Fault.SERVER_ERROR: ErrorReply(500, "server_error", None, "The server had an error. Sorry about that!"),
        Fault.BAD_GATEWAY: ErrorReply(502, "html", None, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        Fault.OVERLOADED: ErrorReply(503, "server_error", "overloaded", "The engine is overloaded.", waitable=True),
    }
)

ANSWER_FAULTS: Final = frozenset({Fault.DRIP, Fault.ERROR, Fault.ERROR_FLAT, Fault.FAILED})
"""Faults of the answer itself; all others that are no HTTP errors are faults of the connection that brings it."""

INSUFFICIENT_QUOTA: Final = ERROR_REPLIES[Fault.QUOTA]
"""What the error events of streams report: the case of maximhq/bifrost#5395."""

DRIP_TOKENS_PER_S: Final = 0.8  # the pace of maximhq/bifrost#6472


class Broken(NamedTuple):
    """A stream after its fault: what is sent, how it ends, and what is repeated until the client goes."""

    opening: Sequence[Frame]
    body: Sequence[Frame]
    ending: Ending = Ending.FINISH
    repeat: Frame | None = None


class Failure(Protocol):
    """Gives the frames that report an error in a stream, after `number` others; see `Shape.failure`."""

    def __call__(self, fault: Fault, /, *, number: int) -> Sequence[Frame]: ...


def break_stream(
    fault: Fault | None,
    *,
    opening: Sequence[Frame],
    body: Sequence[Frame],
    after: int,
    failure: Failure,
) -> Broken:
    """What is left of a stream. Faults of the connection leave a beginning of it, or as many frames."""
    kept = up_to(body, tokens=after)
    match fault:
        case Fault.STALL:
            return Broken(opening, kept, Ending.HANG)
        case Fault.EMPTIES:
            return Broken(opening, kept, Ending.HANG, repeat=opening[-1] if opening else None)
        case Fault.CUT:
            return Broken(opening, kept, Ending.CUT)
        case Fault.RESET:
            return Broken(opening, kept, Ending.RESET)
        case Fault.EOF:
            return Broken(opening, kept)
        case Fault.ERROR | Fault.ERROR_FLAT | Fault.FAILED:
            return Broken(opening, [*kept, *failure(fault, number=len(opening) + len(kept))])
        case Fault.MALFORMED:
            broken, *rest = body[len(kept) :] or body[-1:]
            return Broken(opening, [*kept, broken._replace(data=broken.data[: len(broken.data) // 2]), *rest])
        case _:
            return Broken(opening, body)


def break_plain(fault: Fault | None, *, body: bytes) -> tuple[bytes, Ending]:
    """What is left of an answer in one piece: half of it where a stream would have lost its end."""
    half = body[: len(body) // 2]
    match fault:
        case Fault.STALL | Fault.EMPTIES:
            return half, Ending.HANG
        case Fault.CUT:
            return half, Ending.CUT
        case Fault.RESET:
            return half, Ending.RESET
        case Fault.EOF | Fault.MALFORMED:
            return half, Ending.FINISH
        case _:
            return body, Ending.FINISH


def up_to(frames: Sequence[Frame], *, tokens: int) -> Sequence[Frame]:
    """The frames up to and with the one that carries the last of `tokens` tokens; all, where there are fewer."""
    seen = 0
    if tokens == 0:
        return []
    for position, frame in enumerate(frames, 1):
        seen += frame.tokens
        if seen >= tokens:
            return frames[:position]
    return frames
