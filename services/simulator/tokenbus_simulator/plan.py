"""Plans: a script and a shaped answer become a list of timed writes, which the server only has to carry out."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Final

import orjson

from tokenbus_simulator.error_styles import ErrorStyle, openai_error
from tokenbus_simulator.faults import (
    ERROR_REPLIES,
    INSUFFICIENT_QUOTA,
    Ending,
    ErrorReply,
    Fault,
    break_plain,
    break_stream,
)
from tokenbus_simulator.kept import Kept
from tokenbus_simulator.pace import Write, schedule
from tokenbus_simulator.quirks import alter_body, alter_opening, alter_plain, sse_style
from tokenbus_simulator.script import Script
from tokenbus_simulator.shape import Shape
from tokenbus_simulator.wire import JsonObject, encode

_JSON: Final = {"content-type": "application/json"}
SSE_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_COMMENT: Final = b": keep-alive\n\n"  # DeepSeek's words; to a plain request it sends empty lines meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one request is answered: head, timed writes, then `repeat` every `repeat_s` for ever, or the ending.

    The bytes have ids of the stem `STEM` and unfilled stamps; plans are kept for the next request of the same kind.
    """

    status: int | None = 200
    """None: not even a status line is sent."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    writes: Sequence[Write] = ()
    ending: Ending = Ending.FINISH
    repeat: bytes = b""
    repeat_s: float = 0
    chunk_bytes: int = sys.maxsize
    stamps: int = 0
    """How many tokens are to be stamped, those included that `writes` leave out."""
    skipped_stamps: int = 0
    kept: Kept | None = None
    """What is to be kept of the answer."""

    def due(self) -> Iterator[Write]:
        """What to write, and when; endless with `repeat`."""
        return chain(self.writes, self._repetitions())

    def cut(self, data: bytes) -> Iterator[bytes]:
        """The data in pieces of at most `chunk_bytes`."""
        for start in range(0, len(data), self.chunk_bytes):
            yield data[start : start + self.chunk_bytes]

    def _repetitions(self) -> Iterator[Write]:
        last_s = self.writes[-1].at_s if self.writes else 0.0
        for number in count() if self.repeat else ():
            yield Write(last_s + number * self.repeat_s, self.repeat, 0)


def plan_answer(script: Script, *, shape: Shape, stream: bool, error: ErrorStyle = openai_error) -> Plan:
    """The plan for an answer with ids of the stem `STEM`, with the script's pace, quirks and fault."""
    unanswered = plan_unanswered(script, stream=stream, error=error)
    if unanswered:
        return unanswered
    return _plan_stream(script, shape) if stream else _plan_plain(script, shape, error)


def plan_unanswered(script: Script, *, stream: bool, error: ErrorStyle = openai_error) -> Plan | None:
    """The plan for a fault that lets nothing of the answer through, None for any other script."""
    fault = script.fault
    if fault is not None and fault in ERROR_REPLIES:
        return plan_error(ERROR_REPLIES[fault], retry_after_s=script.retry_after_s, style=error)
    headers = SSE_HEADERS if stream else _JSON
    match fault:
        case Fault.SILENT:
            return Plan(status=None, ending=Ending.HANG)
        case Fault.HEADERS:
            return Plan(headers=headers, ending=Ending.HANG)
        case Fault.COMMENTS:
            repeat = _COMMENT if stream else b"\n"
            return Plan(headers=headers, ending=Ending.HANG, repeat=repeat, repeat_s=script.repeat_ms / 1000)
        case _:
            return None


def plan_error(
    reply: ErrorReply, *, param: str | None = None, retry_after_s: float = 0, style: ErrorStyle = openai_error
) -> Plan:
    """The plan for an HTTP error answer."""
    if reply.type == "html":
        return plan_plain(reply.message.encode(), status=reply.status, headers={"content-type": "text/html"})
    headers = {**_JSON, "retry-after": f"{retry_after_s:g}"} if reply.waitable else _JSON
    body = style(reply.error(param=param), reply.status)
    return plan_plain(orjson.dumps(body), status=reply.status, headers=headers)


def plan_plain(body: bytes, *, status: int = 200, headers: Mapping[str, str] = _JSON) -> Plan:
    """The plan for any body that is sent at once."""
    return Plan(status=status, headers=headers, writes=[Write(0, body, 0)])


def _plan_stream(script: Script, shape: Shape) -> Plan:
    style = sse_style(script.quirks)
    broken = break_stream(
        script.fault,
        opening=alter_opening(shape.opening(), quirks=script.quirks),
        body=alter_body(shape.body(), quirks=script.quirks),
        after=script.after,
        failure=shape.failure,
    )
    return Plan(
        headers=SSE_HEADERS,
        writes=schedule(broken.opening, broken.body, pace=script.pace, style=style),
        ending=broken.ending,
        repeat=encode(broken.repeat, style=style) if broken.repeat else b"",
        repeat_s=script.repeat_ms / 1000,
        chunk_bytes=script.chunk_bytes,
    )


def _plan_plain(script: Script, shape: Shape, error: ErrorStyle) -> Plan:
    if script.fault in (Fault.ERROR, Fault.ERROR_FLAT):
        return plan_error(INSUFFICIENT_QUOTA, style=error)
    if script.fault is Fault.FAILED:
        return plan_error(ERROR_REPLIES[Fault.SERVER_ERROR], style=error)
    tokens = sum(frame.tokens for frame in shape.body())
    body: JsonObject = alter_plain(shape.plain(), quirks=script.quirks)
    data, ending = break_plain(script.fault, body=orjson.dumps(body))
    pace = script.pace
    write = Write(pace.token_at(max(0, tokens - 1)), data, tokens)
    return Plan(headers=_JSON, writes=[write], ending=ending, chunk_bytes=script.chunk_bytes)
