"""The event writer of the Responses stream: numbers the events and has a fast path for deltas.

Deltas of one part differ in number and token only, so their JSON is put together from pieces that are encoded once.
"""

from collections.abc import Iterable, Sequence

import orjson

from tokenbus_simulator.wire import Frame, JsonObject


class EventWriter:
    """Collects events; `first` is the sequence number of the first one."""

    def __init__(self, first: int) -> None:
        self._first = first
        self.frames: list[Frame] = []

    def add(self, kind: str, fields: JsonObject) -> None:
        """One event. `type` and `sequence_number` come first, as OpenAI writes them."""
        event = {"type": kind, "sequence_number": self._first + len(self.frames), **fields}
        self.frames.append(Frame(kind.encode(), orjson.dumps(event)))

    def add_deltas(self, kind: str, tokens: Sequence[str], *, at: JsonObject, tails: Iterable[bytes]) -> None:
        """One delta event per token; `at` says where in the output, a tail is more keys, each led by a comma."""
        name = kind.encode()
        head = b'{"type":"%b","sequence_number":' % name
        place = b',%b,"delta":' % orjson.dumps(at)[1:-1]
        dumps = orjson.dumps
        self.frames += [
            Frame(name, b"%b%d%b%b%b}" % (head, number, place, dumps(token), tail), 1)
            for number, (token, tail) in enumerate(zip(tokens, tails, strict=False), self._first + len(self.frames))
        ]
