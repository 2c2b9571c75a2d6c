"""Output items of the Responses API and the parts of their content.

Source: openai 3.54 `types/responses/response_output_item.py`; the order of keys is that of recorded streams
(github.com/vercel/ai, packages/openai/src/responses/__fixtures__, 2025-09 to 2026-10).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

from tokenbus_simulator.asked import Asked
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.parts import Cited, FunctionCall, Part, ProviderCall, Reasoning, Refusal, Text
from tokenbus_simulator.provider_tools import ProviderTool
from tokenbus_simulator.seals import sealed
from tokenbus_simulator.tokens import logprobs
from tokenbus_simulator.wire import JsonObject

Status = Literal["in_progress", "completed", "incomplete"]

_SEALED_REASONING: Final = "reasoning.encrypted_content"
_PREFIXES: Final = {Reasoning: "rs_", FunctionCall: "fc_", Text: "msg_", Refusal: "msg_"}


@dataclass(frozen=True, slots=True)
class Item:
    """An output item: its part of the answer and its ids."""

    part: Part
    id: str
    call_id: str = ""

    @classmethod
    def of(cls, part: Part, *, ids: Ids) -> "Item":
        """The item for `part`, with new ids."""
        prefix = part.tool.kind.prefix if isinstance(part, ProviderCall) else _PREFIXES[type(part)]
        return cls(part, ids.mint(prefix), ids.mint("call_") if isinstance(part, FunctionCall) else "")

    def opened(self, *, asked: Asked) -> JsonObject:
        """The item as `response.output_item.added` shows it: everything there, nothing filled in."""
        part = self.part
        match part:
            case Reasoning():
                # Sealed from the start, but not with what it ends with: taking it from here is a mistake.
                return {"id": self.id, "type": "reasoning", **self._seal("", asked=asked), "summary": []}
            case FunctionCall():
                return self._call("in_progress", arguments="")
            case ProviderCall():
                return self._provided(part.tool, part.tool.blank(), written="")
            case Text() | Refusal():
                return self._message("in_progress", content=[])

    def finished(self, status: Status, *, asked: Asked) -> JsonObject:
        """The whole item."""
        part = self.part
        match part:
            case Reasoning():
                thoughts = "".join(part.text + part.summary)
                item: JsonObject = {"id": self.id, "type": "reasoning", **self._seal(thoughts, asked=asked)}
                item["summary"] = [summary_part(part.summary)] if part.summary else []
                if part.text:
                    item["content"] = [reasoning_part(part.text)]
                return item
            case FunctionCall():
                return self._call(status, arguments="".join(part.tokens))
            case ProviderCall():
                return self._provided(part.tool, part.tool.filled(asked.include), written="".join(part.tokens))
            case Text():
                return self._message(status, content=[text_part(part.tokens, cited=part.cited, asked=asked)])
            case Refusal():
                return self._message(status, content=[refusal_part(part.tokens)])

    def _message(self, status: Status, *, content: list[JsonObject]) -> JsonObject:
        return {"id": self.id, "type": "message", "status": status, "content": content, "role": "assistant"}

    def _call(self, status: Status, *, arguments: str) -> JsonObject:
        assert isinstance(self.part, FunctionCall)
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            "call_id": self.call_id,
            "name": self.part.name,
        }

    def _provided(self, tool: ProviderTool, fields: JsonObject, *, written: str) -> JsonObject:
        kind = tool.kind
        streamed = {kind.streamed.key: written} if kind.streamed else {}
        return {"id": self.id, "type": kind.item, **fields, **streamed}

    def _seal(self, thoughts: str, *, asked: Asked) -> JsonObject:
        return {"encrypted_content": sealed(self.id, thoughts=thoughts)} if _SEALED_REASONING in asked.include else {}


def text_part(tokens: Sequence[str], *, cited: Sequence[Cited] = (), asked: Asked) -> JsonObject:
    """An `output_text` content part."""
    return {
        "type": "output_text",
        "annotations": annotations(tokens, cited=cited),
        "logprobs": logprobs(tokens, top=asked.top_logprobs) if asked.logprobs else [],
        "text": "".join(tokens),
    }


def annotations(tokens: Sequence[str], *, cited: Sequence[Cited]) -> list[JsonObject]:
    """The annotations of a text. Each covers the text since the one before it."""
    ends = [0, *accumulate(map(len, tokens))]
    placed = list[JsonObject]()
    start = 0
    for after, citation in cited:
        end = ends[after]
        where: JsonObject = {"start_index": start, "end_index": end} if citation.spans else {"index": end}
        placed.append({**citation.fields, **where})
        start = end
    return placed


def refusal_part(tokens: Sequence[str]) -> JsonObject:
    """A `refusal` content part."""
    return {"type": "refusal", "refusal": "".join(tokens)}


def summary_part(tokens: Sequence[str]) -> JsonObject:
    """A part of a reasoning item's summary."""
    return {"type": "summary_text", "text": "".join(tokens)}


def reasoning_part(tokens: Sequence[str]) -> JsonObject:
    """A part of a reasoning item's content."""
    return {"type": "reasoning_text", "text": "".join(tokens)}
