"""How a conversation goes on from an earlier response: its input, its output as input, and what a client repeats.

Rules (Open Responses 2026-04-24; livekit-plugins-openai 1.8.9):

1. Previous input, then previous output, then the new input.
2. Clients repeat what the server itself said (LiveKit's always do): items that the previous output has are dropped from
   the new input, where they stand before anything new.
3. Reasoning goes back if it is sealed (encrypted) or open; of what is neither only its provider knows more, and only as
   long as it stores it.
4. What the model had not finished goes no further: a call that was cut off can get no output, and reasoning that led
   to nothing is refused ("provided without its required following item", github.com/openai/codex/issues/1227).

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tokenbus_translate.json_value import JsonObject, as_list, as_object, as_objects, as_text

_DROPPED: Final = frozenset({"id", "status"})
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_MINTED: Final = frozenset({"message", *_CALLS, *_OUTPUTS})
"""Their ids are minted by whoever answered; another provider, or the same without a store, does not know them."""


def input_items(body: Mapping[str, object]) -> list[object]:
    """The input of a request as items; text is one message of the user."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return as_list(given)


def as_input(item: JsonObject) -> JsonObject | None:
    """An output item as an input item; None for one that can not be sent back."""
    kind = item.get("type")
    if kind == "reasoning" and not (item.get("encrypted_content") or as_objects(item.get("content"))):
        return None
    if kind in _CALLS and item.get("status") == "incomplete":
        return None
    dropped = _DROPPED if kind in _MINTED else frozenset[str]()
    return {name: value for name, value in item.items() if name not in dropped and ":" not in name}


def as_inputs(output: Sequence[JsonObject]) -> list[JsonObject]:
    """A response's output as input items."""
    said: list[JsonObject] = []
    for item in reversed(output):
        told = as_input(item)
        led_nowhere = item.get("type") == "reasoning" and (not said or said[-1].get("type") in _OUTPUTS)
        if told is not None and not led_nowhere:
            said.append(told)
    return said[::-1]


def without_repeats(items: list[object], output: Sequence[JsonObject]) -> list[object]:
    """`items` without those at its start that `output` has already."""
    said = {key for item in output if (key := _identity(item)) is not None}
    ids = {item.get("id") for item in output} - {None}
    for place, item in enumerate(items):
        known = as_object(item)
        if known is None or not (known.get("id") in ids or _identity(known) in said):
            return items[place:]
    return []


def _identity(item: JsonObject) -> tuple[str, str] | None:
    """What makes an item the same one, however it is written."""
    kind = item.get("type")
    if kind in _CALLS or kind in _OUTPUTS:
        call_id = as_text(item.get("call_id"))
        return None if call_id is None else ("call" if kind in _CALLS else "output", call_id)
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
