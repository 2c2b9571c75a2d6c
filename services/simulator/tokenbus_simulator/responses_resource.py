"""The Response resource and its items, as OpenAI writes them.

Source: openai 3.54 `types/responses/response.py` and Open Responses 2026-04-24, whose required keys are all here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tokenbus_simulator.answers import FunctionCall, Part, Reasoning, Refusal, Text, Usage
from tokenbus_simulator.asked import Asked
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.tokens import logprobs
from tokenbus_simulator.wire import JsonObject

Status = Literal["in_progress", "completed", "incomplete"]

INCOMPLETE_REASONS: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the finish that chat calls it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What stays the same in all states of one response."""

    id: str
    created_at: int
    model: str
    echo: JsonObject

    def state(
        self,
        status: str,
        *,
        output: list[JsonObject] | None = None,
        usage: Usage | None = None,
        incomplete_reason: str | None = None,
        error: JsonObject | None = None,
    ) -> JsonObject:
        """The whole resource in one state."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "completed_at": self.created_at if status == "completed" else None,
            "error": error,
            "incomplete_details": {"reason": incomplete_reason} if incomplete_reason else None,
            "model": self.model,
            "output": output or [],
            **self.echo,
            "usage": _usage(usage) if usage else None,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """An output item: its part of the answer and its ids."""

    part: Part
    id: str
    call_id: str = ""

    @classmethod
    def of(cls, part: Part, *, ids: Ids) -> "Item":
        """The item for `part`, with new ids."""
        match part:
            case Reasoning():
                return cls(part, ids.mint("rs_"))
            case FunctionCall():
                return cls(part, ids.mint("fc_"), ids.mint("call_"))
            case Text() | Refusal():
                return cls(part, ids.mint("msg_"))

    def opened(self) -> JsonObject:
        """The item as `response.output_item.added` shows it: everything there, nothing filled in."""
        match self.part:
            case Reasoning():
                return {"id": self.id, "type": "reasoning", "summary": []}
            case FunctionCall():
                return self._call("in_progress", arguments="")
            case Text() | Refusal():
                return self._message("in_progress", content=[])

    def finished(self, status: Status, *, asked: Asked) -> JsonObject:
        """The whole item."""
        part = self.part
        match part:
            case Reasoning():
                item: JsonObject = {"id": self.id, "type": "reasoning", "summary": []}
                if part.summary:
                    item["summary"] = [summary_part(part.summary)]
                if part.text:
                    item["content"] = [reasoning_part(part.text)]
                return item
            case FunctionCall():
                return self._call(status, arguments="".join(part.tokens))
            case Text():
                return self._message(status, content=[text_part(part.tokens, asked=asked)])
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


def text_part(tokens: Sequence[str], *, asked: Asked) -> JsonObject:
    """An `output_text` content part."""
    return {
        "type": "output_text",
        "annotations": [],
        "logprobs": logprobs(tokens, top=asked.top_logprobs) if asked.logprobs else [],
        "text": "".join(tokens),
    }


def refusal_part(tokens: Sequence[str]) -> JsonObject:
    """A `refusal` content part."""
    return {"type": "refusal", "refusal": "".join(tokens)}


def summary_part(tokens: Sequence[str]) -> JsonObject:
    """A part of a reasoning item's summary."""
    return {"type": "summary_text", "text": "".join(tokens)}


def reasoning_part(tokens: Sequence[str]) -> JsonObject:
    """A part of a reasoning item's content."""
    return {"type": "reasoning_text", "text": "".join(tokens)}


def _usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
