"""Changes to events and answers of the Responses API, and those that fit both APIs; see `quirks.py`."""

from collections.abc import Callable, Sequence

from tokenbus_simulator.wire import JsonObject, is_list, is_object


def without(*keys: str) -> Callable[[JsonObject], Sequence[JsonObject]]:
    """Drops the keys wherever they stand, also inside items, parts and the response."""

    def drop(value: object) -> object:
        if is_object(value):
            return {key: drop(inner) for key, inner in value.items() if key not in keys}
        return [drop(inner) for inner in value] if is_list(value) else value

    def change(event: JsonObject) -> Sequence[JsonObject]:
        dropped = drop(event)
        return [dropped] if is_object(dropped) else []

    return change


def no_item_ids(event: JsonObject) -> Sequence[JsonObject]:
    """Neither `item_id` nor ids on items."""

    def nameless(item: object) -> object:
        return {key: value for key, value in item.items() if key != "id"} if is_object(item) else item

    event = {key: value for key, value in event.items() if key != "item_id"}
    if "item" in event:
        event["item"] = nameless(event["item"])
    return [_with_output(event, lambda items: [nameless(item) for item in items])]


def empty_output(event: JsonObject) -> Sequence[JsonObject]:
    """Responses without their output."""
    return [_with_output(event, lambda _: [])]


def no_usage(event: JsonObject) -> Sequence[JsonObject]:
    """No usage, and no chunk that would hold nothing else."""
    if event.get("object") == "chat.completion.chunk" and event.get("choices") == []:
        return []
    return without("usage")(event)


def done_only(event: JsonObject) -> Sequence[JsonObject]:
    """No deltas."""
    return [] if str(event.get("type")).endswith(".delta") else [event]


def unknown_events(event: JsonObject) -> Sequence[JsonObject]:
    """An unknown event after each; in chat, an unknown field in each."""
    if "type" in event:
        return [event, {"type": "acme:trace_event", "trace": {"span": "s-1"}}]
    return [{**event, "x_acme": {"trace": "s-1"}}]


def keepalives(event: JsonObject) -> Sequence[JsonObject]:
    """`keepalive` events after the first; their number is that of the event before."""
    if event.get("type") != "response.created":
        return [event]
    return [event, *[{"type": "keepalive", "sequence_number": event.get("sequence_number")}] * 2]


def sorted_keys(event: JsonObject) -> Sequence[JsonObject]:
    """Keys in alphabetical order."""
    return [dict(sorted(event.items()))]


def reasoning_part(event: JsonObject) -> Sequence[JsonObject]:
    """Other names for the content parts of reasoning."""
    part = event.get("part")
    if is_object(part) and part.get("type") == "reasoning_text":
        kind = str(event["type"]).replace("response.content_part", "response.reasoning_part")
        return [{**event, "type": kind}]
    return [event]


def _with_output(event: JsonObject, change: Callable[[list[object]], list[object]]) -> JsonObject:
    """The event (or plain response) with its response's output replaced."""
    response = event.get("response")
    if is_object(response):
        return {**event, "response": _with_output(response, change)}
    output = event.get("output")
    return {**event, "output": change(output)} if is_list(output) else event
