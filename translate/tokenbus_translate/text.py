"""One growing text of an output item: a content part, a summary part, or the arguments of a call.

All kinds live the same life, told by a row of `TextKind`: the part is added, deltas arrive, the text is done, the part
is done. A new kind of text is a row, not a branch.
"""

from typing import Final, NamedTuple

import orjson

from tokenbus_schemas import Event
from tokenbus_translate.json_value import JsonObject

dumps: Final = orjson.dumps


class TextKind(NamedTuple):
    """How a kind of text is named on the wire. Empty names: this kind has no such event or field."""

    part_type: str
    """`type` of the part that holds the text; empty where the item itself holds it."""
    place: str
    """Where in the item: its `content` or `summary` list, or, without a part, the field that holds the text."""
    index_key: str
    part_events: str
    delta: str
    done: str
    key: str
    """Name of the text in the done event and in the part."""


def _content(part_type: str, events: str, key: str) -> TextKind:
    return TextKind(
        part_type, "content", "content_index", "response.content_part", f"{events}.delta", f"{events}.done", key
    )


def _field(events: str, key: str) -> TextKind:
    return TextKind("", key, "", "", f"{events}.delta", f"{events}.done", key)


OUTPUT_TEXT: Final = _content("output_text", "response.output_text", "text")
REFUSAL: Final = _content("refusal", "response.refusal", "refusal")
REASONING_TEXT: Final = _content("reasoning_text", "response.reasoning_text", "text")
SUMMARY_TEXT: Final = TextKind(
    "summary_text",
    "summary",
    "summary_index",
    "response.reasoning_summary_part",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "text",
)
OTHER_PART: Final = TextKind("", "content", "content_index", "response.content_part", "", "", "")
"""A content part we have no row for: it passes as it is."""

PART_KINDS: Final = {kind.part_type: kind for kind in (OUTPUT_TEXT, REFUSAL, REASONING_TEXT, SUMMARY_TEXT)}

# openai 3.54: the items whose own text arrives in deltas.
FIELD_KINDS: Final = {
    "function_call": _field("response.function_call_arguments", "arguments"),
    "custom_tool_call": _field("response.custom_tool_call_input", "input"),
    "mcp_call": _field("response.mcp_call_arguments", "arguments"),
    "code_interpreter_call": _field("response.code_interpreter_call_code", "code"),
}

KINDS: Final = (OUTPUT_TEXT, REFUSAL, REASONING_TEXT, SUMMARY_TEXT, *FIELD_KINDS.values())
DELTA_KINDS: Final = {kind.delta: kind for kind in KINDS}
"""By the type of the event that brings more of it."""
DONE_KINDS: Final = {kind.done: kind for kind in KINDS}
"""By the type of the event that ends it."""
ITEM_TYPES: Final = {
    OUTPUT_TEXT: "message",
    REFUSAL: "message",
    OTHER_PART: "message",
    REASONING_TEXT: "reasoning",
    SUMMARY_TEXT: "reasoning",
    **{kind: item_type for item_type, kind in FIELD_KINDS.items()},
}
"""The type of the item that holds it."""

_NO_LOGPROBS: Final = b',"logprobs":[]'


class TextClosedError(RuntimeError):
    """Something was written to a text after its end: a mistake of the writer, never of an upstream."""


class Text:
    """A text while it grows. Its owner, `Item`, opens and closes it; whoever has more of it calls `write`."""

    __slots__ = (
        "_address",
        "_out",
        "_prefix",
        "_suffix",
        "annotations",
        "chunks",
        "closed",
        "finished",
        "index",
        "kind",
        "logprobs",
        "part",
    )

    def __init__(
        self, kind: TextKind, *, item_address: bytes, index: int, part: JsonObject | None, out: list[Event]
    ) -> None:
        """Opens the text. `item_address` names the item in JSON fields; `index` is the place in the item's list."""
        self.kind = kind
        self.index = index
        self.chunks: list[str] = []
        self.annotations: list[object] = []
        self.logprobs: list[JsonObject] = []
        self.part: JsonObject = part or {}
        """Fields of the part besides those that grow."""
        self.finished = False
        """No more text comes."""
        self.closed = False
        self._out = out
        place = b',"%b":%d' % (kind.index_key.encode(), index) if kind.index_key else b""
        self._address = item_address + place
        self._prefix = self._address + b',"delta":'
        self._suffix = _NO_LOGPROBS if kind is OUTPUT_TEXT else b""
        self._part_event(".added", self._as_part(""))

    def write(self, delta: str) -> None:
        """More of the text: the hot path. Raises `TextClosedError` after its end."""
        if self.finished:
            raise TextClosedError
        self.chunks.append(delta)
        self._out.append(Event(self.kind.delta, self._prefix + dumps(delta) + self._suffix))

    def write_with(self, delta: str, *, logprobs: list[JsonObject]) -> None:
        """Like `write`, for output text that came with log probabilities (`normal_logprobs`)."""
        if self.finished:
            raise TextClosedError
        self.chunks.append(delta)
        self.logprobs += logprobs
        fields = self._prefix + dumps(delta) + b',"logprobs":' + dumps(logprobs)
        self._out.append(Event(self.kind.delta, fields))

    def annotate(self, annotation: object) -> None:
        """One more annotation of an output text; allowed until it is closed."""
        if self.closed:
            raise TextClosedError
        fields = self._address + b',"annotation_index":%d,"annotation":' % len(self.annotations)
        self.annotations.append(annotation)
        self._out.append(Event("response.output_text.annotation.added", fields + dumps(annotation)))

    @property
    def value(self) -> str:
        """The text so far."""
        if len(self.chunks) > 1:
            self.chunks = ["".join(self.chunks)]
        return self.chunks[0] if self.chunks else ""

    def finish(self) -> None:
        """No more text comes; its part stays open for annotations."""
        if self.finished:
            return
        self.finished = True
        if not self.kind.done:
            return
        fields = self._address + b',"%b":' % self.kind.key.encode() + dumps(self.value)
        if self.kind is OUTPUT_TEXT:
            fields += b',"logprobs":' + dumps(self.logprobs)
        self._out.append(Event(self.kind.done, fields))

    def close(self) -> None:
        """The part is done."""
        if not self.closed:
            self.finish()
            self.closed = True
            self._part_event(".done", self.as_part())

    def as_part(self) -> JsonObject:
        """The part as it stands in its item."""
        return self._as_part(self.value)

    def _as_part(self, text: str) -> JsonObject:
        kind = self.kind
        if not kind.key:
            return self.part
        part: JsonObject = {**self.part, "type": kind.part_type, kind.key: text}
        if kind is OUTPUT_TEXT:
            part |= {"annotations": list(self.annotations), "logprobs": list(self.logprobs)}
        return part

    def _part_event(self, suffix: str, part: JsonObject) -> None:
        if self.kind.part_events:
            self._out.append(Event(self.kind.part_events + suffix, self._address + b',"part":' + dumps(part)))
