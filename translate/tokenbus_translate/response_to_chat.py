"""A response resource → a chat completion.

Rules:

1. One choice, or one for each label that the items carry (`tokenbus:choice`). Its message holds the text of all message
   items, joined, and every call that nobody has answered: a call with its output in the same response ran on the bus.
2. `tool_calls` wins over `stop`. A cut answer says `length` or `content_filter`; with several choices, only in those
   that hold a cut item.
3. Items that chat has no words for (web searches, code runs, …) are left out; what was found is in the text and its
   annotations.

Pure. Sources: `ChatCompletion` and `CompletionUsage` of openai 3.54.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from tokenbus_translate.items import CHOICE
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_objects, as_text

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]

# `incomplete_details.reason`; any other (max_tool_calls, cancelled) also means that the answer is not whole.
_CUT_REASONS: Final[Mapping[object, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}

_MAX_CHOICES: Final = 128
"""OpenAI's limit of `n`; a provider's item may carry any label."""


class ChatHead(NamedTuple):
    """What all chunks and completions of one request share."""

    completion_id: str
    model: str
    """As the client asked for it."""
    created: int
    """Unix seconds."""


def chat_completion(response: JsonObject, head: ChatHead) -> JsonObject:
    """The `chat.completion` of a response that ended completed or incomplete."""
    completion: JsonObject = {
        "id": head.completion_id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [
            {
                "index": index,
                "message": _message(items),
                "logprobs": _logprobs(items),
                "finish_reason": finish_reason(response, items),
            }
            for index, items in choice_items(response).items()
        ],
        "usage": chat_usage(response.get("usage")),
        "service_tier": response.get("service_tier"),
    }
    if fingerprint := (as_object(response.get("tokenbus")) or {}).get("system_fingerprint"):
        completion["system_fingerprint"] = fingerprint
    return completion


def choice_items(response: JsonObject) -> dict[int, list[JsonObject]]:
    """The output items of each choice, by its number, without holes; an answer that says nothing has choice 0."""
    items = as_objects(response.get("output"))
    last = max((choice_of(item) for item in items), default=0)
    return {number: [item for item in items if choice_of(item) == number] for number in range(last + 1)}


def choice_of(item: JsonObject) -> int:
    """The number of the choice that an output item belongs to."""
    number = as_index(item.get(CHOICE)) or 0
    return number if number < _MAX_CHOICES else 0


def finish_reason(response: JsonObject, items: Iterable[JsonObject]) -> FinishReason:
    """Why the choice that holds `items` ended."""
    items = list(items)
    if response.get("status") != "completed":
        several = any(CHOICE in item for item in items)
        if not several or any(item.get("status") == "incomplete" for item in items):
            reason = (as_object(response.get("incomplete_details")) or {}).get("reason")
            return _CUT_REASONS.get(reason, "length")
    return "tool_calls" if open_calls(items) else "stop"


def open_calls(items: Iterable[JsonObject]) -> list[JsonObject]:
    """The calls that the client is to run, in order."""
    items = list(items)
    answered = answered_calls(items)
    return [
        item
        for item in items
        if item.get("type") in ("function_call", "custom_tool_call") and item.get("call_id") not in answered
    ]


def answered_calls(items: Iterable[JsonObject]) -> set[str]:
    """The ids of the calls whose outputs are among the items."""
    outputs = (item for item in items if str(item.get("type")).endswith("_call_output"))
    return {call_id for item in outputs if (call_id := as_text(item.get("call_id"))) is not None}


def bus_functions(response: object) -> frozenset[str]:
    """The functions that may be run on the bus in this answer, so that a call of them may not be the client's."""
    extension = as_object((as_object(response) or {}).get("tokenbus")) or {}
    return frozenset(name for name in as_list(extension.get("functions")) if isinstance(name, str))


def chat_call(item: JsonObject) -> JsonObject:
    """A function_call or custom_tool_call item as an entry of `tool_calls`."""
    if item.get("type") == "custom_tool_call":
        what: JsonObject = {"type": "custom", "custom": {"name": item.get("name"), "input": item.get("input")}}
    else:
        what = {"type": "function", "function": {"name": item.get("name"), "arguments": item.get("arguments")}}
    call: JsonObject = {"id": item.get("call_id"), **what}
    if extra := item.get("extra_content"):  # Gemini's thought signatures, wanted back with the call
        call["extra_content"] = extra
    return call


def text_of(item: JsonObject, *, part_type: str, key: str) -> str:
    """The text in all parts of one type of a message item, joined."""
    parts = as_objects(item.get("content"))
    return "".join(as_text(part.get(key)) or "" for part in parts if part.get("type") == part_type)


def chat_annotation(annotation: JsonObject) -> JsonObject | None:
    """An annotation as chat nests it; None for one that chat does not know."""
    if annotation.get("type") != "url_citation":
        return None
    return {
        "type": "url_citation",
        "url_citation": {name: value for name, value in annotation.items() if name != "type"},
    }


def chat_usage(usage: object) -> JsonObject | None:
    """The usage of a response under chat's names; None stays None, nothing is invented."""
    counts = as_object(usage)
    if counts is None:
        return None
    return {
        "prompt_tokens": counts.get("input_tokens"),
        "completion_tokens": counts.get("output_tokens"),
        "total_tokens": counts.get("total_tokens"),
        # Clients read the details unguarded (vscode-unify #277).
        "prompt_tokens_details": {"cached_tokens": 0, **(as_object(counts.get("input_tokens_details")) or {})},
        "completion_tokens_details": {"reasoning_tokens": 0, **(as_object(counts.get("output_tokens_details")) or {})},
    }


def _message(items: list[JsonObject]) -> JsonObject:
    messages = [item for item in items if item.get("type") == "message"]
    refusal = "".join(text_of(item, part_type="refusal", key="refusal") for item in messages)
    message: JsonObject = {
        "role": "assistant",
        "content": _content(messages, refusal=refusal),
        "refusal": refusal or None,
        "annotations": [
            annotation
            for part in _text_parts(messages)
            for raw in as_objects(part.get("annotations"))
            if (annotation := chat_annotation(raw)) is not None
        ],
    }
    if reasoning := "".join(_reasoning(item) for item in items if item.get("type") == "reasoning"):
        message["reasoning_content"] = reasoning
    if calls := open_calls(items):
        message["tool_calls"] = [chat_call(item) for item in calls]
    return message


def _content(messages: list[JsonObject], *, refusal: str) -> str | None:
    text = "".join(text_of(item, part_type="output_text", key="text") for item in messages)
    return text if text or (messages and not refusal) else None


def _text_parts(messages: list[JsonObject]) -> list[JsonObject]:
    parts = [part for item in messages for part in as_objects(item.get("content"))]
    return [part for part in parts if part.get("type") == "output_text"]


def _reasoning(item: JsonObject) -> str:
    parts = as_objects(item.get("content")) or as_objects(item.get("summary"))
    return "".join(as_text(part.get("text")) or "" for part in parts)


def _logprobs(items: list[JsonObject]) -> JsonObject | None:
    messages = [item for item in items if item.get("type") == "message"]
    tokens = [token for part in _text_parts(messages) for token in as_list(part.get("logprobs"))]
    return {"content": tokens, "refusal": None} if tokens else None
