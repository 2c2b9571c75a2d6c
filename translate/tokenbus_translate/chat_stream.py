"""Chat Completions chunks → events.

Rules:

1. Reasoning, content and refusal of a choice open an item when their first text comes; another kind closes it. From
   the first tool call on nothing is closed before the choice ends: parallel calls may interleave.
2. `finish_reason` ends a choice. The answer is whole when every choice has ended and usage, `[DONE]` or the end of the
   body came. A body that ends before is a cut, not a short answer.
3. A whole answer that says nothing is one empty message.
4. Chunk ids, `created` and `model` mean nothing: the response has its own.
"""

from collections.abc import Mapping
from typing import Final

from tokenbus_schemas import ErrorCode
from tokenbus_translate.assembly import Ending, ResponseAssembly
from tokenbus_translate.chat_choice import ChatChoice
from tokenbus_translate.failure import failure, reported_failure
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_objects, as_text
from tokenbus_translate.sse import DEFAULT_MAX_EVENT_BYTES
from tokenbus_translate.upstream import COMPLETED, UpstreamStream
from tokenbus_translate.usage import normal_usage

_LENGTH: Final = Ending("incomplete", "max_output_tokens")
_FILTERED: Final = Ending("incomplete", "content_filter")

# finish_reason → how the choice ended; any other word is a normal end. Beyond OpenAI's five: Mistral's model_length
# (its OpenAPI document 1.0.0), and words that gateways hand through from other APIs.
_FINISH_REASONS: Final[Mapping[str, Ending]] = {
    "length": _LENGTH,
    "max_tokens": _LENGTH,
    "model_length": _LENGTH,
    "content_filter": _FILTERED,
    "safety": _FILTERED,
}
# finish_reason of a choice that broke: Mistral and OpenRouter say error, vLLM abort, followed by [DONE] (vllm #57082,
# 2026-11-22), DeepSeek insufficient_system_resource.
_BROKEN_REASONS: Final[Mapping[str, ErrorCode]] = {
    "error": ErrorCode.UPSTREAM_ERROR,
    "abort": ErrorCode.UPSTREAM_CUT,
    "insufficient_system_resource": ErrorCode.UPSTREAM_UNAVAILABLE,
}
# Fields of a chunk that the resource has no place for; they go into its `tokenbus` object.
_NOTED: Final = ("system_fingerprint", "citations", "search_results")


class ChatStream(UpstreamStream):
    """One Chat Completions call."""

    def __init__(
        self, assembly: ResponseAssembly, *, choices: int = 1, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    ) -> None:
        """`choices` is the request's `n`: with several, each item says which choice it belongs to."""
        super().__init__(assembly, max_event_bytes=max_event_bytes)
        self._wanted = choices
        self._choices: dict[int, ChatChoice] = {}

    def _read(self, event: JsonObject) -> None:
        choices = as_list(event.get("choices"))
        if len(choices) == 1 and not event.get("usage") and not event.get("error"):
            raw = as_object(choices[0])
            if raw is not None:
                choice = self._choices.get(as_index(raw.get("index")) or 0)
                if choice is not None and choice.goes_on(raw):
                    self.useful_count += 1
                    return
        self._read_chunk(event, choices=as_objects(choices))

    def _read_chunk(self, chunk: JsonObject, *, choices: list[JsonObject]) -> None:
        if (error := _error_of(chunk, choices=choices)) is not None:
            self._fail(reported_failure(error))
            return
        usage = _usage_of(chunk, choices=choices)
        if usage is not None:
            self.usage = usage  # the last one counts: some servers report the total so far in every chunk
        self._note(chunk)
        for choice in choices:
            self._read_choice(choice)
        if usage is not None and not self.finished and self._all_ended():
            self._settle()

    def _read_choice(self, raw: JsonObject) -> None:
        index = as_index(raw.get("index")) or 0
        choice = self._choices.get(index)
        if choice is None:
            label = index if self._wanted > 1 or index else None
            choice = self._choices[index] = ChatChoice(self.assembly, label=label)
        delta = as_object(raw.get("delta")) or as_object(raw.get("message")) or {}
        self.useful_count += choice.read(delta, logprobs=raw.get("logprobs"))
        self.committed = self.committed or choice.has_output
        reason = as_text(raw.get("finish_reason"))
        if reason and reason != "null":  # some servers write the word
            if reason in _BROKEN_REASONS:
                self._fail(failure(_BROKEN_REASONS[reason], f"the provider ended its answer with `{reason}`"))
                return
            choice.ending = _FINISH_REASONS.get(reason, COMPLETED)
            if choice.ending is COMPLETED:
                choice.close()

    def _read_document(self, document: JsonObject) -> None:
        self._read_chunk(document, choices=as_objects(document.get("choices")))
        if not self.finished:
            self._read_done()
        if not self.finished:
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider's answer has no choices"))

    def _read_done(self) -> None:
        # `[DONE]` without a finish_reason is sloppy; the server did say that it is done, if it said anything at all.
        if self.useful_count or any(choice.ending for choice in self._choices.values()):
            self._settle()

    def _read_end(self) -> None:
        if len(self._choices) >= self._wanted and self._all_ended():
            self._settle()

    def _all_ended(self) -> bool:
        return bool(self._choices) and all(choice.ending is not None for choice in self._choices.values())

    def _settle(self) -> None:
        """The answer is whole."""
        choices = self._choices.values()
        if any(choice.calls.nameless for choice in choices):
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider sent a tool call without a name"))
            return
        self.assembly.start()
        for choice in choices:
            if not choice.has_output:
                choice.output_text()
            if choice.ending is None or choice.ending is COMPLETED:
                choice.close()
        endings = (choice.ending for choice in choices if choice.ending is not None)
        self._end(next((ending for ending in endings if ending is not COMPLETED), COMPLETED))

    def _note(self, chunk: JsonObject) -> None:
        for name in _NOTED:
            if chunk.get(name):
                self.extension[name] = chunk[name]
        if tier := as_text(chunk.get("service_tier")):
            self.note_service_tier(tier)


def _error_of(chunk: JsonObject, *, choices: list[JsonObject]) -> object:
    """The error in a chunk, whatever its form: OpenAI's `error`, vLLM's flat object, OpenRouter's inside a choice."""
    if error := chunk.get("error"):
        return {"error": error}
    if (
        chunk.get("object") == "error"
        or chunk.get("type") == "error"
        or ("message" in chunk and "choices" not in chunk)
    ):
        return chunk
    return next(({"error": error} for choice in choices if (error := choice.get("error"))), None)


def _usage_of(chunk: JsonObject, *, choices: list[JsonObject]) -> JsonObject | None:
    """Usage at the top, in Groq's `x_groq`, or in Moonshot's choice (as public clients read them, 2026-11-22)."""
    places = (chunk, as_object(chunk.get("x_groq")) or {}, *choices)
    return next((usage for place in places if (usage := normal_usage(place.get("usage")))), None)
