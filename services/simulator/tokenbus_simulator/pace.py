"""Pace: when each frame is written, and with which others.

Times are absolute, from the arrival of the request, so a stream does not drift, however late one write was.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from tokenbus_simulator.wire import Frame, SseStyle, encode


class Write(NamedTuple):
    """Bytes to send at a time (seconds from the arrival of the request), and how many tokens end in them."""

    at_s: float
    data: bytes
    tokens: int


class Pace(NamedTuple):
    """The settings of a script that concern time and size; see `Script`."""

    first_token_s: float
    tokens_per_s: float
    burst: int
    chunk_bytes: int

    def token_at(self, index: int) -> float:
        """When token `index`, counted from 0, is due. Tokens of one burst are due together, with its first."""
        if not self.tokens_per_s:
            return self.first_token_s
        burst = self.burst or 1
        return self.first_token_s + index // burst * burst / self.tokens_per_s


def schedule(opening: Sequence[Frame], body: Sequence[Frame], *, pace: Pace, style: SseStyle) -> list[Write]:
    """The writes of a stream. Opening frames are due at once, others with the next token, the rest with the last.

    A write ends with an event. It has at most `chunk_bytes` bytes, unless one event alone has more.
    """
    if pace.tokens_per_s:
        return gather(timed(opening, body, pace=pace), pace=pace, style=style)
    groups = [(0.0, opening), (pace.first_token_s, body)] if pace.first_token_s else [(0.0, [*opening, *body])]
    return [write for at_s, frames in groups for write in _grouped(at_s, frames, pace=pace, style=style)]


def timed(opening: Sequence[Frame], body: Sequence[Frame], *, pace: Pace) -> list[tuple[float, Frame]]:
    """Each frame with the time it is due."""
    begun = [(0.0, frame) for frame in opening]
    waiting = list[Frame]()
    tokens, at_s = 0, pace.first_token_s
    for frame in body:
        waiting.append(frame)
        if frame.tokens:
            at_s = pace.token_at(tokens)
            tokens += frame.tokens
            begun += [(at_s, due) for due in waiting]
            waiting.clear()
    return begun + [(at_s, last) for last in waiting]


def gather(frames: Iterable[tuple[float, Frame]], *, pace: Pace, style: SseStyle) -> list[Write]:
    """The writes of timed frames: those due together are written together, within the limits of `schedule`."""
    groups = [(at_s, [frame for _, frame in group]) for at_s, group in groupby(frames, key=itemgetter(0))]
    return [write for at_s, due in groups for write in _grouped(at_s, due, pace=pace, style=style)]


def _grouped(at_s: float, frames: Iterable[Frame], *, pace: Pace, style: SseStyle) -> Iterator[Write]:
    """Frames that are due together, in writes of at most `chunk_bytes` bytes and, if set, `burst` tokens."""
    pending, size, tokens = list[bytes](), 0, 0
    burst = pace.burst or sys.maxsize
    for frame in frames:
        data = encode(frame, style=style)
        if pending and (size + len(data) > pace.chunk_bytes or tokens + frame.tokens > burst):
            yield Write(at_s, b"".join(pending), tokens)
            pending, size, tokens = [], 0, 0
        pending.append(data)
        size += len(data)
        tokens += frame.tokens
    if pending:
        yield Write(at_s, b"".join(pending), tokens)
