"""Changes to chunks and completions of the Chat Completions API; see `quirks.py`.

Changes of one chunk also change the plain completion. All leave events of the Responses API as they are.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tokenbus_simulator.wire import JsonObject, is_object, object_of, objects_of


class Event(NamedTuple):
    """An event before it is written, and how many tokens it carries."""

    json: JsonObject
    tokens: int


_SAFE: Final = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_TIMES: Final = {"queue_time": 0.0375, "prompt_time": 0.0007, "completion_time": 0.4612, "total_time": 0.4619}
_X_GROQ: Final = {"id": "req_01jbd6g2qdfw2adyrt2az8hz4w"}
_PAGE: Final = "https://example.com/harbour"


def reasoning_field(event: JsonObject) -> Sequence[JsonObject]:
    """`reasoning` where others write `reasoning_content`."""
    names = {"reasoning_content": "reasoning"}
    return [_spoken(event, lambda said: {names.get(key, key): value for key, value in said.items()})]


def token_ids(event: JsonObject) -> Sequence[JsonObject]:
    """Choices that repeat their text, and made-up token ids."""

    def change(choice: JsonObject) -> JsonObject:
        delta = choice.get("delta")
        if not is_object(delta):
            return {**choice, "seed": 42}
        text = delta.get("content") or ""
        return {
            **choice,
            "text": text,
            "seed": None,
            "delta": {"tool_calls": None, **delta, "token_id": len(str(text))},
        }

    return [_chosen(event, change)]


def eos(event: JsonObject) -> Sequence[JsonObject]:
    """`eos` for a natural end."""
    return [_chosen(event, lambda one: {**one, "finish_reason": "eos"} if one.get("finish_reason") == "stop" else one)]


def sparse(event: JsonObject) -> Sequence[JsonObject]:
    """Neither choices nor messages have keys that say nothing."""

    def change(choice: JsonObject) -> JsonObject:
        return {key: value for key, value in choice.items() if value is not None}

    return [_spoken(_chosen(event, change), change)]


def no_null_usage(event: JsonObject) -> Sequence[JsonObject]:
    """No `usage` where there is none to tell."""
    return [{key: value for key, value in event.items() if key != "usage" or value is not None}]


def usage_bare(event: JsonObject) -> Sequence[JsonObject]:
    """Usage without the details that OpenAI's always has."""
    bare = ("prompt_tokens", "completion_tokens", "total_tokens")
    return [_counted(event, lambda usage: {key: usage[key] for key in bare})]


def cache_tokens(event: JsonObject) -> Sequence[JsonObject]:
    """What of the prompt was cached, in words of DeepSeek's own."""
    return [
        _counted(
            event,
            lambda usage: {**usage, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": usage["prompt_tokens"]},
        )
    ]


def reasoning_apart(event: JsonObject) -> Sequence[JsonObject]:
    """Reasoning is no part of `completion_tokens`, so these and the prompt do not add up to the total."""

    def change(usage: JsonObject) -> JsonObject:
        thought = object_of(usage.get("completion_tokens_details")).get("reasoning_tokens")
        spoken = usage.get("completion_tokens")
        if not isinstance(thought, int) or not isinstance(spoken, int):
            return usage
        return {**usage, "completion_tokens": spoken - thought}

    return [_counted(event, change)]


def time_info(event: JsonObject) -> Sequence[JsonObject]:
    """Times beside usage."""
    return [{**event, "time_info": _TIMES} if _has_usage(event) and "choices" in event else event]


def citations(event: JsonObject) -> Sequence[JsonObject]:
    """What was found on the web, beside the choices."""
    if "choices" not in event:
        return [event]
    found = {"title": "The harbour", "url": _PAGE, "date": "2026-01-31", "snippet": "Ships leave with the tide."}
    return [{**event, "citations": [_PAGE], "search_results": [found]}]


def content_filter(event: JsonObject) -> Sequence[JsonObject]:
    """What the content filter thinks of each choice."""

    def change(choice: JsonObject) -> JsonObject:
        said = object_of(choice.get("delta") or choice.get("message")).get("content")
        return {**choice, "content_filter_results": _SAFE if said else {}}

    return [_chosen(event, change)]


def prompt_filter(events: Sequence[Event]) -> Sequence[Event]:
    """What the content filter thinks of the prompt, before anything else."""
    blank: JsonObject = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    return [Event({**blank, **_prompt_filter_results()}, 0), *events] if _is_chat(events) else events


def prompt_filter_plain(body: JsonObject) -> JsonObject:
    """The same in a plain completion."""
    return {**body, **_prompt_filter_results()} if "choices" in body else body


def whole_calls(events: Sequence[Event]) -> Sequence[Event]:
    """Tool calls in one chunk each, where they begin."""
    arguments: dict[tuple[object, object], str] = {}
    tokens: dict[tuple[object, object], int] = {}
    for event in events:
        for key, call in _fragments(event.json):
            arguments[key] = arguments.get(key, "") + str(object_of(call.get("function")).get("arguments", ""))
            tokens[key] = tokens.get(key, 0) + event.tokens

    def gather(event: Event) -> Sequence[Event]:
        fragments = _fragments(event.json)
        if not fragments:
            return [event]
        [(key, call)] = fragments
        if "id" not in call:
            return []
        whole = {**call, "function": {**object_of(call["function"]), "arguments": arguments[key]}}
        return [Event(_spoken(event.json, lambda delta: {**delta, "tool_calls": [whole]}), tokens[key])]

    return [gathered for event in events for gathered in gather(event)]


def usage_on_finish(events: Sequence[Event]) -> Sequence[Event]:
    """Usage in the last chunk that has a choice."""
    usage = _usage_of(events)
    kept = [event for event in events if not _only_usage(event.json)]
    return [*kept[:-1], _with(kept[-1], {"usage": usage})] if usage else kept


def usage_running(events: Sequence[Event]) -> Sequence[Event]:
    """Usage in every chunk, as far as tokens have come."""
    usage = _usage_of(events)
    prompt = usage.get("prompt_tokens")
    told, sent = list[Event](), 0
    for event in events:
        if not _only_usage(event.json):
            sent += event.tokens
            total = prompt + sent if isinstance(prompt, int) else sent
            so_far: JsonObject = {**usage, "completion_tokens": sent, "total_tokens": total}
            told.append(_with(event, {"usage": so_far}))
    return told if usage else events


def finish_with_text(events: Sequence[Event]) -> Sequence[Event]:
    """The finish reason in the chunk of the last token."""
    kept = list(events)
    for index in range(len(kept) - 1, 0, -1):
        reasons = [choice.get("finish_reason") for choice in objects_of(kept[index].json.get("choices"))]
        if reasons and reasons[0] and kept[index - 1].tokens:
            reason = reasons[0]
            before = kept[index - 1]
            finished = _chosen(before.json, lambda choice, reason=reason: {**choice, "finish_reason": reason})
            kept[index - 1 : index + 1] = [Event(finished, before.tokens)]
            break
    return kept


def done_object(events: Sequence[Event]) -> Sequence[Event]:
    """Another object type for the last chunk, and the role in every delta."""
    kept = [
        Event(_spoken(event.json, lambda delta: {"role": "assistant", "content": "", **delta}), event.tokens)
        for event in events
    ]
    return [*kept[:-1], _with(kept[-1], {"object": "chat.completion.done"})] if _is_chat(kept) else events


def x_groq_lead(events: Sequence[Event]) -> Sequence[Event]:
    """`x_groq` in the first chunk."""
    return [_with(events[0], {"x_groq": {**_X_GROQ, "seed": 42}}), *events[1:]] if _is_chat(events) else events


def x_groq_end(events: Sequence[Event]) -> Sequence[Event]:
    """`x_groq` in the last, with usage in Groq's words, which stands beside it too."""
    usage = _usage_of(events)
    kept = [event for event in events if not _only_usage(event.json)]
    told = _groq_usage(usage)
    return [*kept[:-1], _with(kept[-1], {"x_groq": {**_X_GROQ, "usage": told}, "usage": told})] if usage else events


def x_groq_plain(body: JsonObject) -> JsonObject:
    """The same in a plain completion."""
    if "choices" not in body:
        return body
    return {**body, "usage": _groq_usage(object_of(body.get("usage"))), "usage_breakdown": None, "x_groq": _X_GROQ}


def _groq_usage(usage: JsonObject) -> JsonObject:
    told: JsonObject = {key: usage.get(key) for key in ("prompt_tokens", "completion_tokens", "total_tokens")}
    thought = object_of(usage.get("completion_tokens_details")).get("reasoning_tokens")
    return {**told, **_TIMES, **({"completion_tokens_details": {"reasoning_tokens": thought}} if thought else {})}


def _prompt_filter_results() -> JsonObject:
    results = {**_SAFE, "jailbreak": {"filtered": False, "detected": False}}
    return {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": results}]}


def _is_chat(events: Sequence[Event]) -> bool:
    return "choices" in events[0].json


def _has_usage(event: JsonObject) -> bool:
    return is_object(event.get("usage"))


def _only_usage(event: JsonObject) -> bool:
    return event.get("choices") == [] and _has_usage(event)


def _usage_of(events: Sequence[Event]) -> JsonObject:
    told = [object_of(event.json["usage"]) for event in events if _only_usage(event.json)]
    return told[-1] if told else {}


def _with(event: Event, fields: JsonObject) -> Event:
    return Event({**event.json, **fields}, event.tokens)


def _counted(event: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """The chunk or completion with its usage changed."""
    usage = event.get("usage")
    return {**event, "usage": change(usage)} if is_object(usage) and "choices" in event else event


def _chosen(event: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """The chunk or completion with each choice changed."""
    if "choices" not in event:
        return event
    return {**event, "choices": [change(choice) for choice in objects_of(event["choices"])]}


def _spoken(event: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """The chunk or completion with each delta or message changed."""

    def speak(choice: JsonObject) -> JsonObject:
        key = "delta" if "delta" in choice else "message"
        return {**choice, key: change(object_of(choice.get(key)))}

    return _chosen(event, speak)


def _fragments(event: JsonObject) -> list[tuple[tuple[object, object], JsonObject]]:
    """The tool calls of a chunk, each with the indexes of its choice and its own."""
    return [
        ((choice.get("index"), call.get("index")), call)
        for choice in objects_of(event.get("choices"))
        for call in objects_of(object_of(choice.get("delta")).get("tool_calls"))
    ]
