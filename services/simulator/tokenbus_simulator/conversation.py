"""What holds between the items of a Responses conversation: calls have outputs, reasoning comes back as it was given.

The conversation is what came before (`previous_response_id`) and the new input. Clients may repeat what the server
already has, as LiveKit's does; an item id that stands there twice is refused. Sources: recorded refusals in
github.com/vercel/ai, packages/openai/src/responses/__fixtures__ (2026-10); github.com/openai/codex/issues/1227
(2025-06) and github.com/tjardoo/openai-client/pull/124 (2025-04).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.seals import seal_problem
from tokenbus_simulator.wire import JsonObject


class _Pair(NamedTuple):
    output: str
    words: str


_PAIRS: Final[Mapping[str, _Pair]] = MappingProxyType(
    {
        "function_call": _Pair("function_call_output", "function call"),
        "custom_tool_call": _Pair("custom_tool_call_output", "custom tool call"),
    }
)


def check_conversation(items: Sequence[JsonObject]) -> None:
    """Raises `RefusedError` where items do not belong together as OpenAI demands."""
    _check_ids(items)
    _check_reasoning(items)
    for call, pair in _PAIRS.items():
        called = _call_ids(items, call)
        answered = _call_ids(items, pair.output)
        for call_id in answered:
            if call_id not in called:
                raise _refused(f"No tool call found for {pair.words} output with call_id {call_id}.")
        for call_id in called:
            if call_id not in answered:
                raise _refused(f"No tool output found for {pair.words} {call_id}.")


def _check_ids(items: Sequence[JsonObject]) -> None:
    seen = set[object]()
    for item in items:
        item_id = item.get("id")
        if item_id is not None and item_id in seen:
            message = f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again."
            raise _refused(message)
        seen.add(item_id)


def _check_reasoning(items: Sequence[JsonObject]) -> None:
    for item, following in zip(items, [*items[1:], None], strict=True):
        if item.get("type") != "reasoning":
            continue
        content = item.get("encrypted_content")
        problem = seal_problem(content, item_id=str(item.get("id"))) if isinstance(content, str) else None
        if problem:
            raise RefusedError(problem, code="invalid_encrypted_content")
        if following is None or _from_outside(following):
            message = f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            raise _refused(message)


def _from_outside(item: JsonObject) -> bool:
    """Whether the item is none that a model writes."""
    kind = str(item.get("type", "message"))
    return kind.endswith("_output") or (kind == "message" and item.get("role") != "assistant")


def _call_ids(items: Sequence[JsonObject], kind: str) -> dict[object, None]:
    return {item.get("call_id"): None for item in items if item.get("type") == kind}


def _refused(message: str) -> RefusedError:
    return RefusedError(message, param="input")
