"""Plans: a script and a shaped answer become a list of timed writes, which the server only has to carry out."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Final

import orjson

from tokenbus_simulator.faults import (
    DRIP_TOKENS_PER_S,
    ERROR_REPLIES,
    INSUFFICIENT_QUOTA,
    Ending,
    ErrorReply,
    Fault,
    break_plain,
    break_stream,
)
from tokenbus_simulator.ids import STEM
from tokenbus_simulator.pace import Pace, Write, schedule
from tokenbus_simulator.quirks import alter_end, alter_frames, alter_plain, sse_style
from tokenbus_simulator.script import Script
from tokenbus_simulator.shape import Shape
from tokenbus_simulator.wire import JsonObject, encode

_JSON: Final = {"content-type": "application/json"}
_SSE: Final = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_COMMENT: Final = b": keep-alive\n\n"  # DeepSeek's words; to a plain request it sends empty lines meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one request is answered: head, timed writes, then `repeat` every `repeat_s` for ever, or the ending."""

    status: int | None = 200
    """None: not even a status line is sent."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    writes: Sequence[Write] = ()
    ending: Ending = Ending.FINISH
    repeat: bytes = b""
    repeat_s: float = 0
    chunk_bytes: int = sys.maxsize

    def pieces(self, stem: str) -> Iterator[Write]:
        """What to write, with ids of this stem, cut where it is longer than `chunk_bytes`; endless with `repeat`.

        Plans are kept for the next request of the same kind; so much is left to do for each.
        """
        template, own = STEM.encode(), stem.encode()
        for at_s, data, tokens in chain(self.writes, self._repetitions()):
            rest = data.replace(template, own)
            while len(rest) > self.chunk_bytes:
                yield Write(at_s, rest[: self.chunk_bytes], 0)
                rest = rest[self.chunk_bytes :]
            yield Write(at_s, rest, tokens)

    def _repetitions(self) -> Iterator[Write]:
        last_s = self.writes[-1].at_s if self.writes else 0.0
        for number in count() if self.repeat else ():
            yield Write(last_s + number * self.repeat_s, self.repeat, 0)


def plan_answer(script: Script, *, shape: Shape, stream: bool) -> Plan:
    """The plan for an answer with ids of the stem `STEM`, with the script's pace, quirks and fault."""
    fault = script.fault
    if fault is not None and fault in ERROR_REPLIES:
        return plan_error(ERROR_REPLIES[fault], retry_after_s=script.retry_after_s)
    headers = _SSE if stream else _JSON
    match fault:
        case Fault.SILENT:
            return Plan(status=None, ending=Ending.HANG)
        case Fault.HEADERS:
            return Plan(headers=headers, ending=Ending.HANG)
        case Fault.COMMENTS:
            repeat = _COMMENT if stream else b"\n"
            return Plan(headers=headers, ending=Ending.HANG, repeat=repeat, repeat_s=script.repeat_ms / 1000)
        case _:
            return _plan_stream(script, shape) if stream else _plan_plain(script, shape)


def plan_error(reply: ErrorReply, *, param: str | None = None, retry_after_s: float = 0) -> Plan:
    """The plan for an HTTP error answer."""
    if reply.type == "html":
        return plan_plain(reply.message.encode(), status=reply.status, headers={"content-type": "text/html"})
    headers = {**_JSON, "retry-after": f"{retry_after_s:g}"} if reply.waitable else _JSON
    return plan_plain(orjson.dumps({"error": reply.error(param=param)}), status=reply.status, headers=headers)


def plan_plain(body: bytes, *, status: int = 200, headers: Mapping[str, str] = _JSON) -> Plan:
    """The plan for any body that is sent at once."""
    return Plan(status=status, headers=headers, writes=[Write(0, body, 0)])


def _plan_stream(script: Script, shape: Shape) -> Plan:
    style = sse_style(script.quirks)
    broken = break_stream(
        script.fault,
        opening=alter_frames(shape.opening(), quirks=script.quirks),
        body=alter_end(alter_frames(shape.body(), quirks=script.quirks), quirks=script.quirks),
        after=script.after,
        failure=shape.failure,
    )
    return Plan(
        headers=_SSE,
        writes=schedule(broken.opening, broken.body, pace=_pace(script), style=style),
        ending=broken.ending,
        repeat=encode(broken.repeat, style=style) if broken.repeat else b"",
        repeat_s=script.repeat_ms / 1000,
        chunk_bytes=script.chunk_bytes,
    )


def _plan_plain(script: Script, shape: Shape) -> Plan:
    if script.fault in (Fault.ERROR, Fault.ERROR_FLAT):
        return plan_error(INSUFFICIENT_QUOTA)
    if script.fault is Fault.FAILED:
        return plan_error(ERROR_REPLIES[Fault.SERVER_ERROR])
    tokens = sum(frame.tokens for frame in shape.body())
    body: JsonObject = alter_plain(shape.plain(), quirks=script.quirks)
    data, ending = break_plain(script.fault, body=orjson.dumps(body))
    pace = _pace(script)
    write = Write(pace.token_at(max(0, tokens - 1)), data, tokens)
    return Plan(headers=_JSON, writes=[write], ending=ending, chunk_bytes=script.chunk_bytes)


def _pace(script: Script) -> Pace:
    rate = script.tokens_per_s
    if script.fault is Fault.DRIP and not rate:
        rate = DRIP_TOKENS_PER_S
    return Pace(script.first_token_ms / 1000, rate, script.burst, script.chunk_bytes)
