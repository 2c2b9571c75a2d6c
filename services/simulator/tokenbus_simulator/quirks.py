"""Quirks: how upstreams that call themselves compatible differ in what they write.

Each is a row: what it changes and who does it. A quirk sees one parsed event (or the whole plain answer) and gives the
events that replace it, so it costs nothing where it is not asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator.wire import DONE, Frame, JsonObject, SseStyle, is_list, is_object

Change = Callable[[JsonObject], Sequence[JsonObject]]


class Quirk(NamedTuple):
    """One difference: what it is, who shows it and when, and the change to each event, if it is one to the JSON."""

    about: str
    seen: str
    change: Change | None = None


_GITHUB: Final = "https://github.com/"
_LLAMA_CPP: Final = _GITHUB + "ggml-org/llama.cpp/issues/20607 (2026)"


def _without(*keys: str) -> Change:
    """Drops the keys wherever they stand, also inside items, parts and the response."""

    def drop(value: object) -> object:
        if is_object(value):
            return {key: drop(inner) for key, inner in value.items() if key not in keys}
        return [drop(inner) for inner in value] if is_list(value) else value

    def change(event: JsonObject) -> Sequence[JsonObject]:
        dropped = drop(event)
        return [dropped] if is_object(dropped) else []

    return change


def _no_item_ids(event: JsonObject) -> Sequence[JsonObject]:
    def nameless(item: object) -> object:
        return {key: value for key, value in item.items() if key != "id"} if is_object(item) else item

    event = {key: value for key, value in event.items() if key != "item_id"}
    if "item" in event:
        event["item"] = nameless(event["item"])
    return [_with_output(event, lambda items: [nameless(item) for item in items])]


def _empty_output(event: JsonObject) -> Sequence[JsonObject]:
    return [_with_output(event, lambda _: [])]


def _no_usage(event: JsonObject) -> Sequence[JsonObject]:
    if event.get("object") == "chat.completion.chunk" and event.get("choices") == []:
        return []
    return _without("usage")(event)


def _done_only(event: JsonObject) -> Sequence[JsonObject]:
    return [] if str(event.get("type")).endswith(".delta") else [event]


def _unknown_events(event: JsonObject) -> Sequence[JsonObject]:
    if "type" in event:
        return [event, {"type": "acme:trace_event", "trace": {"span": "s-1"}}]
    return [{**event, "x_acme": {"trace": "s-1"}}]


def _sorted_keys(event: JsonObject) -> Sequence[JsonObject]:
    return [dict(sorted(event.items()))]


def _reasoning_part(event: JsonObject) -> Sequence[JsonObject]:
    part = event.get("part")
    if is_object(part) and part.get("type") == "reasoning_text":
        kind = str(event["type"]).replace("response.content_part", "response.reasoning_part")
        return [{**event, "type": kind}]
    return [event]


QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType(
    {
        "no-item-ids": Quirk("no item_id, no id on items", _LLAMA_CPP, _no_item_ids),
        "no-output-index": Quirk("no output_index", _LLAMA_CPP, _without("output_index")),
        "no-sequence": Quirk("no sequence_number", "aimock, seen 2026-09", _without("sequence_number")),
        "no-logprobs": Quirk("no logprobs", "aimock, seen 2026-09", _without("logprobs")),
        "no-usage": Quirk("no usage, though asked for", "older self-hosted servers", _no_usage),
        "empty-output": Quirk("terminal output is []", _GITHUB + "BerriAI/litellm/issues/32724 (2026)", _empty_output),
        "done-only": Quirk("no deltas, only *.done", "iii-hq, issue 1020 (2026)", _done_only),
        "unknown-events": Quirk(
            "unknown events and fields, unnumbered", _GITHUB + "openai/openai-ruby/issues/578 (2026)", _unknown_events
        ),
        "reasoning-part": Quirk(
            "response.reasoning_part.*", _GITHUB + "vllm-project/vllm/pull/35184 (2026)", _reasoning_part
        ),
        "sorted-keys": Quirk(
            "keys in alphabetical order, type last", _GITHUB + "vllm-project/vllm/pull/35184 (2026)", _sorted_keys
        ),
        "no-done": Quirk("chat streams without [DONE]", "aimock, seen 2026-09"),
        "done": Quirk("Responses streams with [DONE]", "https://www.openresponses.org/specification (2026-04-24)"),
        "no-event-lines": Quirk("no event: lines, the type stands in the JSON only", "allowed by the SSE standard"),
        "crlf": Quirk("lines end with CRLF", _GITHUB + "sysid/sse-starlette: its default separator (2026)"),
    }
)


def sse_style(quirks: Iterable[str]) -> SseStyle:
    """How the events of a server with these quirks are written."""
    names = frozenset(quirks)
    return SseStyle(
        event_lines="no-event-lines" not in names,
        newline=b"\r\n" if "crlf" in names else b"\n",
    )


def alter_frames(frames: Sequence[Frame], *, quirks: Sequence[str]) -> Sequence[Frame]:
    """The frames as a server with these quirks sends them."""
    changes = _changes(quirks)
    return [altered for frame in frames for altered in _alter(frame, changes)] if changes else frames


def alter_end(frames: Sequence[Frame], *, quirks: Sequence[str]) -> Sequence[Frame]:
    """The last frames of a stream, with or without the `[DONE]` that the API usually does or does not have."""
    marked = frames[-1] is DONE
    if "no-done" in quirks and marked:
        return frames[:-1]
    return [*frames, DONE] if "done" in quirks and not marked else frames


def alter_plain(body: JsonObject, *, quirks: Sequence[str]) -> JsonObject:
    """The plain answer as a server with these quirks sends it."""
    for change in _changes(quirks):
        body = change(body)[0]
    return body


def _changes(quirks: Sequence[str]) -> list[Change]:
    return [change for name in quirks if (change := QUIRKS[name].change) is not None]


def _alter(frame: Frame, changes: Sequence[Change]) -> Iterable[Frame]:
    if frame is DONE:
        return [frame]
    event: JsonObject = orjson.loads(frame.data)
    events: Sequence[JsonObject] = [event]
    for change in changes:
        events = [after for before in events for after in change(before)]
    # The tokens stay with the first event that is left: pace and cuts count them.
    return [
        Frame(str(event.get("type", "")).encode(), orjson.dumps(event), 0 if position else frame.tokens)
        for position, event in enumerate(events)
    ]


def _with_output(event: JsonObject, change: Callable[[list[object]], list[object]]) -> JsonObject:
    """The event (or plain response) with its response's output replaced."""
    response = event.get("response")
    if is_object(response):
        return {**event, "response": _with_output(response, change)}
    output = event.get("output")
    return {**event, "output": change(output)} if is_list(output) else event
