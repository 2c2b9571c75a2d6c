"""Quirks: how upstreams that call themselves compatible differ in what they write.

Each is a row: what it changes and who does it. Changes see parsed events and give the events that replace them, so a
quirk costs nothing where it is not asked for. Which provider has which is in `profiles.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator import chat_changes, responses_changes
from tokenbus_simulator.chat_changes import Event
from tokenbus_simulator.wire import DONE, Frame, JsonObject, SseStyle

Change = Callable[[JsonObject], Sequence[JsonObject]]
Flow = Callable[[Sequence[Event]], Sequence[Event]]


class Quirk(NamedTuple):
    """One difference: what it is, who shows it and when, and what it does to what is written, if that is JSON."""

    about: str
    seen: str
    change: Change | None = None
    """Replaces each event, and the plain answer by the first event it gives."""
    lead: Flow | None = None
    """Replaces the events before the first token."""
    flow: Flow | None = None
    """Replaces all events after those."""
    plain: Callable[[JsonObject], JsonObject] | None = None
    """Replaces the plain answer."""
    usage: bool = False
    """Whether streams tell usage without being asked."""


_GITHUB: Final = "https://github.com/"
_LLAMA_CPP: Final = _GITHUB + "ggml-org/llama.cpp/issues/20607 (2026)"
_RECORDED: Final = _GITHUB + "vercel/ai, packages/{}/src/__fixtures__ ({})"
_GROQ: Final = _RECORDED.format("groq", "2026-02")
_XAI: Final = _RECORDED.format("xai", "2026-02")
_PERPLEXITY: Final = _RECORDED.format("perplexity", "2026-02")
_TOGETHER: Final = _GITHUB + "lzell/AIProxySwift, its streaming chunk tests (2024-08)"
_AZURE: Final = "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter (2026)"

QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType(
    {
        "no-item-ids": Quirk("no item_id, no id on items", _LLAMA_CPP, responses_changes.no_item_ids),
        "no-output-index": Quirk("no output_index", _LLAMA_CPP, responses_changes.without("output_index")),
        "no-sequence": Quirk(
            "no sequence_number", "aimock, seen 2026-09", responses_changes.without("sequence_number")
        ),
        "no-logprobs": Quirk("no logprobs", "aimock, seen 2026-09", responses_changes.without("logprobs")),
        "no-usage": Quirk("no usage, though asked for", "older self-hosted servers", responses_changes.no_usage),
        "empty-output": Quirk(
            "terminal output is []", _GITHUB + "BerriAI/litellm/issues/32724 (2026)", responses_changes.empty_output
        ),
        "done-only": Quirk("no deltas, only *.done", "iii-hq, issue 1020 (2026)", responses_changes.done_only),
        "unknown-events": Quirk(
            "unknown events and fields, unnumbered",
            _GITHUB + "openai/openai-ruby/issues/578 (2026)",
            responses_changes.unknown_events,
        ),
        "keepalives": Quirk(
            "keepalive events after response.created",
            _GITHUB + "BerriAI/litellm/pull/39617: OpenAI's background streams (2026-09)",
            responses_changes.keepalives,
        ),
        "reasoning-part": Quirk(
            "response.reasoning_part.*",
            _GITHUB + "vllm-project/vllm/pull/35184 (2026)",
            responses_changes.reasoning_part,
        ),
        "sorted-keys": Quirk(
            "keys in alphabetical order, type last",
            _GITHUB + "vllm-project/vllm/pull/35184 (2026)",
            responses_changes.sorted_keys,
        ),
        "no-done": Quirk("chat streams without [DONE]", "aimock, seen 2026-09"),
        "done": Quirk("Responses streams with [DONE]", "https://www.openresponses.org/specification (2026-04-24)"),
        "no-event-lines": Quirk("no event: lines, the type stands in the JSON only", "allowed by the SSE standard"),
        "crlf": Quirk("lines end with CRLF", _GITHUB + "sysid/sse-starlette: its default separator (2026)"),
        "reasoning-field": Quirk("reasoning instead of reasoning_content", _GROQ, chat_changes.reasoning_field),
        "whole-calls": Quirk("a tool call comes in one chunk", _GROQ, flow=chat_changes.whole_calls),
        "usage-on-finish": Quirk(
            "usage, unasked, in the chunk that finishes",
            _GITHUB + "vercel/ai/pull/16087: Fireworks (2026-06)",
            flow=chat_changes.usage_on_finish,
            usage=True,
        ),
        "usage-always": Quirk("usage in a chunk of its own, unasked", _XAI, chat_changes.no_null_usage, usage=True),
        "usage-running": Quirk("usage so far in every chunk", _PERPLEXITY, flow=chat_changes.usage_running, usage=True),
        "usage-bare": Quirk("usage without details", _PERPLEXITY, chat_changes.usage_bare),
        "finish-with-text": Quirk(
            "the last token's chunk also finishes", _TOGETHER, flow=chat_changes.finish_with_text
        ),
        "token-ids": Quirk("choices with text and seed, deltas with token_id", _TOGETHER, chat_changes.token_ids),
        "eos": Quirk("finish_reason eos where others say stop", _TOGETHER, chat_changes.eos),
        "x-groq": Quirk(
            "x_groq in first and last chunk, usage inside it and beside it",
            _GROQ,
            chat_changes.no_null_usage,
            lead=chat_changes.x_groq_lead,
            flow=chat_changes.x_groq_end,
            plain=chat_changes.x_groq_plain,
            usage=True,
        ),
        "time-info": Quirk(
            "time_info beside usage",
            "https://inference-docs.cerebras.ai/api-reference/chat-completions (2026)",
            chat_changes.time_info,
        ),
        "cache-tokens": Quirk(
            "prompt_cache_hit_tokens and prompt_cache_miss_tokens in usage",
            "https://api-docs.deepseek.com/api/create-chat-completion (2026-09)",
            chat_changes.cache_tokens,
        ),
        "reasoning-apart": Quirk("completion_tokens without those of reasoning", _XAI, chat_changes.reasoning_apart),
        "sparse": Quirk("no keys whose value is null", _XAI, chat_changes.sparse),
        "citations": Quirk("citations and search_results beside choices", _PERPLEXITY, chat_changes.citations),
        "done-object": Quirk(
            "the last chunk is a chat.completion.done, every delta has a role",
            _PERPLEXITY,
            flow=chat_changes.done_object,
        ),
        "prompt-filter": Quirk(
            "a first chunk without choices that has prompt_filter_results, content_filter_results in choices",
            _AZURE,
            chat_changes.content_filter,
            lead=chat_changes.prompt_filter,
            plain=chat_changes.prompt_filter_plain,
        ),
    }
)


def tells_usage(quirks: Iterable[str]) -> bool:
    """Whether streams of a server with these quirks have usage though nobody asked for it."""
    return any(QUIRKS[name].usage for name in quirks)


def sse_style(quirks: Iterable[str]) -> SseStyle:
    """How the events of a server with these quirks are written."""
    names = frozenset(quirks)
    return SseStyle(
        event_lines="no-event-lines" not in names,
        newline=b"\r\n" if "crlf" in names else b"\n",
    )


def alter_opening(frames: Sequence[Frame], *, quirks: Sequence[str]) -> Sequence[Frame]:
    """The frames before the first token as a server with these quirks sends them."""
    return _altered(frames, [(row.change, row.lead) for row in _rows(quirks)])


def alter_body(frames: Sequence[Frame], *, quirks: Sequence[str]) -> Sequence[Frame]:
    """All further frames, with or without the `[DONE]` that the API usually does or does not have."""
    frames = _altered(frames, [(row.change, row.flow) for row in _rows(quirks)])
    marked = frames[-1] is DONE
    if "no-done" in quirks and marked:
        return frames[:-1]
    return [*frames, DONE] if "done" in quirks and not marked else frames


def alter_plain(body: JsonObject, *, quirks: Sequence[str]) -> JsonObject:
    """The plain answer as a server with these quirks sends it."""
    for row in _rows(quirks):
        if row.change:
            body = row.change(body)[0]
        if row.plain:
            body = row.plain(body)
    return body


def _rows(quirks: Iterable[str]) -> list[Quirk]:
    return [QUIRKS[name] for name in quirks]


def _altered(frames: Sequence[Frame], changes: Sequence[tuple[Change | None, Flow | None]]) -> Sequence[Frame]:
    if not any(change or flow for change, flow in changes):
        return frames
    events: Sequence[Event] = [Event(orjson.loads(frame.data), frame.tokens) for frame in frames if frame is not DONE]
    for change, flow in changes:
        if change:
            events = [event for before in events for event in _changed(before, change)]
        if flow:
            events = flow(events)
    written = [
        Frame(str(event.json.get("type", "")).encode(), orjson.dumps(event.json), event.tokens) for event in events
    ]
    return [*written, DONE] if frames[-1] is DONE else written


def _changed(event: Event, change: Change) -> Iterable[Event]:
    # The tokens stay with the first event that is left: pace and cuts count them.
    return [Event(json, 0 if position else event.tokens) for position, json in enumerate(change(event.json))]
