"""What is kept of a response: its final state, and for one in the background everything it tells, with the times.

Nothing runs in the background: what a response has told is what was due by now. All is rendered with ids of the stem
`STEM`; whoever shows it replaces them. Behaviour: https://developers.openai.com/api/docs/guides/background (2026-08).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from tokenbus_simulator.faults import ANSWER_FAULTS, break_stream
from tokenbus_simulator.pace import timed
from tokenbus_simulator.quirks import alter_body, alter_opening
from tokenbus_simulator.script import Script
from tokenbus_simulator.shape import Shape
from tokenbus_simulator.wire import Frame, JsonObject, object_of

_ENDINGS: Final = ("completed", "failed", "incomplete")
_STATES: Final = frozenset(f"response.{state}".encode() for state in ("created", "queued", "in_progress", *_ENDINGS))


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A response that comes into being in the background."""

    events: Sequence[tuple[float, Frame]]
    """All it tells, each with the time it is due, in seconds from the request."""
    script: Script
    streamed: bool
    """Whether it was asked for as a stream; only such a one can be streamed again."""

    @classmethod
    def of(cls, shape: Shape, *, script: Script, streamed: bool) -> "Generation":
        """What `shape` tells at the script's pace. Faults of the connection do not touch it."""
        whole = break_stream(
            script.fault if script.fault in ANSWER_FAULTS else None,
            opening=alter_opening(shape.opening(), quirks=script.quirks),
            body=alter_body(shape.body(), quirks=script.quirks),
            after=script.after,
            failure=shape.failure,
        )
        return cls(timed(whole.opening, whole.body, pace=script.pace), script, streamed)

    def resource(self, elapsed_s: float) -> JsonObject:
        """The response as it is after that time."""
        due = [frame for at_s, frame in self.events if at_s <= elapsed_s and frame.name in _STATES]
        return object_of(orjson.loads((due or [self.events[0][1]])[-1].data)["response"])

    def ended(self, elapsed_s: float) -> bool:
        """Whether it has told everything by then."""
        return self.events[-1][0] <= elapsed_s


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kept:
    """What is to be kept of an answer once it is given, or of a background one from the start."""

    id: str
    conversation: Sequence[JsonObject]
    """The items that led to it."""
    final: Callable[[], JsonObject]
    """The response in its final state; rendered only if someone asks."""
    retention_s: float | None
    stamps: int = 0
    """How many of its tokens are to be stamped."""
    generation: Generation | None = None
