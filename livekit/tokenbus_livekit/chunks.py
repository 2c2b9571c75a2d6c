"""Response events → LiveKit's chunks.

Rules:

1. Text goes out as it comes; what was lost on the way follows with the terminal event (`tokenbus.answer_text`).
2. Tool calls go out at the end, whole. A call whose output stands in the response too was run by the tools service:
   the agent must not run it again.
3. An answer that was cut for its length or its content counts as an answer, as with LiveKit's own chat client.

Pure.
"""

from collections.abc import Sequence
from typing import Any

from livekit.agents.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall

from tokenbus import TextLostError
from tokenbus.answer_text import AnswerText
from tokenbus_schemas import EventLine, Response


class AnswerChunks:
    """Feed it every event of an answer, in order, then the response."""

    def __init__(self, response_id: str) -> None:
        self._id = response_id
        self._text = AnswerText()

    def feed(self, lines: Sequence[EventLine]) -> list[ChatChunk]:
        """At most one: the text that came together."""
        return self._said("".join([self._text.feed(line) for line in lines]))

    def finish(self, response: Response) -> list[ChatChunk]:
        """Text that had been lost, tool calls, usage. Raises `TextLostError`."""
        rest = self._text.finish(response)
        if rest is None and self._text.in_doubt:
            raise TextLostError(response)
        chunks = self._said(rest or "")
        if calls := open_calls(response):
            chunks.append(ChatChunk(id=self._id, delta=ChoiceDelta(role="assistant", tool_calls=calls)))
        if (usage := usage_of(response)) is not None:
            chunks.append(ChatChunk(id=self._id, usage=usage))
        return chunks

    def _said(self, text: str) -> list[ChatChunk]:
        return [ChatChunk(id=self._id, delta=ChoiceDelta(role="assistant", content=text))] if text else []


def open_calls(response: Response) -> list[FunctionToolCall]:
    """The whole function calls that nobody has answered yet."""
    answered = {item.get("call_id") for item in response.output if item.get("type") == "function_call_output"}
    return [
        FunctionToolCall(name=str(item["name"]), arguments=str(item["arguments"]), call_id=str(item["call_id"]))
        for item in response.output
        if item.get("type") == "function_call"
        and item.get("call_id") not in answered
        and item.get("status") != "incomplete"
    ]


def usage_of(response: Response) -> CompletionUsage | None:
    """LiveKit counts tokens as chat completions do."""
    usage = response.usage
    if usage is None:
        return None
    read: dict[str, Any] = usage.input_tokens_details.model_dump()
    written: dict[str, Any] = usage.output_tokens_details.model_dump()
    return CompletionUsage(
        completion_tokens=usage.output_tokens,
        prompt_tokens=usage.input_tokens,
        total_tokens=usage.total_tokens,
        prompt_cached_tokens=int(read.get("cached_tokens") or 0),
        cache_creation_tokens=int(read.get("cache_write_tokens") or 0),
        reasoning_tokens=int(written.get("reasoning_tokens") or 0),
    )
