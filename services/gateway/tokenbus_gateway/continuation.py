"""A conversation that goes on over one WebSocket: the latest response, kept while the connection lasts.

Rules (Open Responses 2026-04-24, WebSocket; livekit-plugins-openai 1.8.9):

1. `previous_response_id` of the latest response of this connection is resolved here, stored or not: previous input,
   then previous output, then the new input. Any other id is left to the bus.
2. Clients repeat what the server itself said (LiveKit's always do): items that the previous output has are dropped from
   the new input, where they stand before anything new.
3. `instructions` are not carried over. Reasoning goes back only with its encrypted content: without it nobody has it.
4. A turn that fails forgets the response it referred to.

Pure.
"""

from typing import Final

from tokenbus_translate.json_value import JsonObject, as_list, as_object, as_objects, as_text

_DROPPED: Final = frozenset({"id", "status"})
_OWN_TYPES: Final = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})
"""What a model says itself, and so what a client may repeat."""


class Continuation:
    """One for each connection."""

    def __init__(self) -> None:
        self._response_id: str | None = None
        self._input: list[object] = []
        self._output: list[JsonObject] = []

    def resolve(self, body: JsonObject) -> JsonObject:
        """The body with its whole conversation in `input`, if it continues the response that is kept."""
        if self._response_id is None or body.get("previous_response_id") != self._response_id:
            return body
        resolved = {name: value for name, value in body.items() if name != "previous_response_id"}
        history = [*self._input, *(said for item in self._output if (said := as_input(item)) is not None)]
        return {**resolved, "input": [*history, *without_repeats(input_items(body), self._output)]}

    def remember(self, body: JsonObject, response: JsonObject) -> None:
        """`response` is what became of `body`, which was resolved."""
        response_id = as_text(response.get("id"))
        if response.get("status") in ("completed", "incomplete") and response_id is not None:
            self._response_id = response_id
            self._input, self._output = input_items(body), as_objects(response.get("output"))

    def forget(self, response_id: object) -> None:
        """A turn that referred to it failed."""
        if response_id is not None and response_id == self._response_id:
            self._response_id, self._input, self._output = None, [], []


def input_items(body: JsonObject) -> list[object]:
    """The input of a request as items; text is one message of the user."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return as_list(given)


def as_input(item: JsonObject) -> JsonObject | None:
    """An output item as an input item; None for one that must not be sent back."""
    if item.get("type") == "reasoning":
        return item if item.get("encrypted_content") else None
    if item.get("type") not in _OWN_TYPES:
        return item
    # Ids are minted by whoever answered; another provider, or the same without a store, does not know them.
    return {name: value for name, value in item.items() if name not in _DROPPED and ":" not in name}


def without_repeats(items: list[object], output: list[JsonObject]) -> list[object]:
    """`items` without those at its start that `output` has already."""
    said = {key for item in output if (key := _identity(item)) is not None}
    ids = {item.get("id") for item in output} - {None}
    for place, item in enumerate(items):
        known = as_object(item)
        if known is None or not (known.get("id") in ids or _identity(known) in said):
            return items[place:]
    return []


def _identity(item: JsonObject) -> tuple[str, str] | None:
    """What makes an item of the model the same one, however it is written."""
    if item.get("type") in ("function_call", "custom_tool_call"):
        call_id = as_text(item.get("call_id"))
        return None if call_id is None else ("call", call_id)
    if item.get("role") == "assistant":
        return "message", _text(item)
    return None


def _text(item: JsonObject) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content.strip()
    return "".join(
        as_text(part.get("text")) or as_text(part.get("refusal")) or "" for part in as_objects(content)
    ).strip()
