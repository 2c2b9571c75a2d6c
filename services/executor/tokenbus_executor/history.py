"""What a target is told of a conversation that goes on from earlier, stored responses. Pure.

1. What was said by the same API of the same provider goes back as it was.
2. Another target gets what every model can read: messages, calls with their outputs, open reasoning. Sealed content can
   only be opened by who sealed it, and the items of a provider's own tools mean something to that provider alone.
3. A target that may be asked to seal its reasoning is asked, where the response is stored: so it can go back later.
"""

from collections.abc import Mapping
from typing import Final

from tokenbus_executor.sealed_reasoning import asking_for_seals, seals
from tokenbus_executor.tool_outputs import text_only
from tokenbus_schemas import Target, WorkOrder
from tokenbus_translate.json_value import JsonObject, as_list, as_object, as_objects

_SEALED: Final = "encrypted_content"
_COMMON: Final = frozenset(
    {
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    }
)


def told_to(target: Target, request: Mapping[str, object], *, order: WorkOrder) -> Mapping[str, object]:
    """The request as `target` gets it. `request`: that of the order, whose input may have grown at its end."""
    told = dict(request)
    if order.history:
        told["input"] = _items(as_list(request.get("input")), target=target, order=order)
    stored = told.get("store") is not False
    if stored and target.api == "responses" and seals((target.model, order.model), request=told):
        return asking_for_seals(told)
    return told


def _items(items: list[object], *, target: Target, order: WorkOrder) -> list[object]:
    kept: list[object] = []
    place = 0
    for said in order.history:
        kept += items[place : said.first]
        place = said.first + said.count
        own = (said.provider, said.api) == (target.provider, target.api)
        for item in items[said.first : place]:
            known = as_object(item)
            readable = item if own or known is None else _readable(known)
            if readable is not None:
                kept.append(readable)
    kept += items[place:]
    if target.api == "responses":
        return kept
    return [item if (known := as_object(item)) is None else text_only(known) for item in kept]


def _readable(item: JsonObject) -> JsonObject | None:
    """The item as any model reads it, or None."""
    if item.get("type", "message") not in _COMMON:
        return None
    if not item.get(_SEALED):
        return item
    if not as_objects(item.get("content")):
        return None
    return {name: value for name, value in item.items() if name != _SEALED}
