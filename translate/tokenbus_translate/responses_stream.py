"""Responses events of an upstream → events.

Upstreams are untrusted: compatible servers leave out ids, indexes, events and whole outputs. Rules:

1. What is about the response as a whole is ours: created, in_progress and queued are dropped, sequence numbers and the
   response id too; the terminal event becomes `ending` or `failure`, never an event.
2. Everything else is held until the first useful event, then written in order (responses_writer.py).
3. The final output repairs what the stream left out, before anything is closed.
"""

from collections.abc import Mapping
from typing import Final

from tokenbus_schemas import ErrorCode
from tokenbus_translate.assembly import Ending, ResponseAssembly
from tokenbus_translate.failure import failure, reported_failure
from tokenbus_translate.json_value import JsonObject, as_object, as_objects, as_text
from tokenbus_translate.responses_items import part_text
from tokenbus_translate.responses_writer import ResponsesWriter
from tokenbus_translate.sse import DEFAULT_MAX_EVENT_BYTES
from tokenbus_translate.text import DELTA_KINDS, DONE_KINDS
from tokenbus_translate.upstream import COMPLETED, UpstreamStream
from tokenbus_translate.usage import normal_usage

_MAX_HELD: Final = 1_000
"""Events without use before the first useful one; OpenAI sends fewer than ten."""

# Other names of the same events: vLLM's (PR #35184) and Open Responses' (2026-04-24).
_ALIASES: Final[Mapping[str, str]] = {
    "response.reasoning_part.added": "response.content_part.added",
    "response.reasoning_part.done": "response.content_part.done",
    "response.reasoning.delta": "response.reasoning_text.delta",
    "response.reasoning.done": "response.reasoning_text.done",
}
_BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ERRORS: Final = frozenset({"error", "response.error"})
_KEEP_ALIVES: Final = frozenset({"keepalive", "ping"})
# Terminal events, and the status that a whole answer of the same kind has.
_ENDINGS: Final[Mapping[str, str]] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_REASONS: Final = frozenset({"max_output_tokens", "max_messages", "content_filter", "steered"})
"""openai 3.54, `IncompleteDetails.reason`; another word would break strictly typed clients."""
# What only the provider knows of a response, besides its output: openai 3.54 `Response`.
_CARRIED: Final = ("tool_usage", "moderation", "prompt_cache_diagnostics", "input_transformations", "access_programs")


class ResponsesStream(UpstreamStream):
    """One call of a Responses API."""

    def __init__(self, assembly: ResponseAssembly, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(assembly, max_event_bytes=max_event_bytes)
        self.upstream_id: str | None = None
        """The provider's own id of the response: to resume or cancel it there, or to continue from it."""
        self._writer = ResponsesWriter(assembly)
        self._held: list[tuple[str, JsonObject]] = []

    def _read(self, event: JsonObject) -> None:
        hot = self._writer.hot
        if hot is not None:
            text, event_type, item_id, output_index, index_key, index = hot
            delta = event.get("delta")
            if (
                event.get("type") == event_type
                and event.get("item_id") == item_id
                and event.get("output_index") == output_index
                and event.get(index_key) == index
                and isinstance(delta, str)
                and delta
                and not event.get("logprobs")
            ):
                text.write(delta)
                self.useful_count += 1
                return
        event_type = as_text(event.get("type"))
        if event_type in _ERRORS or (event_type is None and event.get("error")):
            self._fail(reported_failure(event))
        elif event_type is None:
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider sent an event without `type`"))
        else:
            self._read_typed(_ALIASES.get(event_type, event_type), event)

    def _read_typed(self, event_type: str, event: JsonObject) -> None:
        if event_type in _BEGINNINGS:
            self._note(as_object(event.get("response")) or {})
        elif event_type in _ENDINGS:
            self._settle(_ENDINGS[event_type], as_object(event.get("response")) or {})
        elif event_type not in _KEEP_ALIVES:
            useful = _is_useful(event_type, event)
            self.useful_count += useful
            if useful:
                self._commit()
            if self.committed:
                self._writer.write(event_type, event)
            else:
                self._hold(event_type, event)

    def _read_document(self, document: JsonObject) -> None:
        if error := document.get("error"):
            self._note(document)
            self._fail(reported_failure({"error": error}))
            return
        self._settle(as_text(document.get("status")) or "completed", document)

    def _read_done(self) -> None:
        """Open Responses ends its streams so; the terminal event has said it before, or the answer is cut."""

    def _read_end(self) -> None:
        """Only a terminal event makes an answer whole."""

    def _hold(self, event_type: str, event: JsonObject) -> None:
        self._held.append((event_type, event))
        if len(self._held) > _MAX_HELD:
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider sent events without end and no answer"))

    def _commit(self) -> None:
        if not self.committed:
            self.committed = True
            for event_type, event in self._held:
                self._writer.write(event_type, event)
            self._held.clear()

    def _settle(self, status: str, response: JsonObject) -> None:
        """The upstream said how its response ended."""
        self._note(response)
        if status not in {"completed", "incomplete"}:
            error = response.get("error")
            self._fail(
                reported_failure({"error": error})
                if error
                else failure(ErrorCode.UPSTREAM_ERROR, f"the provider ended its response as {status[:40]}")
            )
            return
        self._commit()
        self.assembly.start()
        if not self._writer.repair(as_objects(response.get("output"))):
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider sent a function call without a name"))
        elif status == "completed":
            self._writer.close()
            self._end(COMPLETED)
        else:
            reason = as_text((as_object(response.get("incomplete_details")) or {}).get("reason"))
            if reason not in _REASONS:
                self.extension["incomplete_reason"] = reason
                reason = None
            self._end(Ending("incomplete", reason))

    def _note(self, response: JsonObject) -> None:
        self.upstream_id = self.upstream_id or as_text(response.get("id"))
        self.usage = normal_usage(response.get("usage")) or self.usage
        self.facts |= {name: response[name] for name in _CARRIED if response.get(name) is not None}
        if tier := as_text(response.get("service_tier")):
            self.note_service_tier(tier)


def _is_useful(event_type: str, event: JsonObject) -> bool:
    """Whether the event brings a piece of the answer, or shows that a tool is at work."""
    if event_type in DELTA_KINDS:
        return bool(event.get("delta"))
    if (kind := DONE_KINDS.get(event_type)) is not None:
        return bool(event.get(kind.key))
    if event_type.endswith(("_part.added", "_part.done")):
        return bool(part_text(as_object(event.get("part")) or {}))
    if event_type.startswith("response.output_item."):
        item = as_object(event.get("item")) or {}
        return item.get("type") not in {"message", "reasoning", None} or _says_something(item)
    # A provider's own event: it is about an item, or brings something itself; else it is a kind of keep-alive.
    return bool(event.get("item_id") or event.get("delta")) or isinstance(event.get("output_index"), int)


def _says_something(item: JsonObject) -> bool:
    if item.get("encrypted_content") and item.get("status") != "in_progress":
        return True
    parts = (*as_objects(item.get("content")), *as_objects(item.get("summary")))
    return any(part_text(part) for part in parts)
