"""References: items that an input names by their id, because the provider has kept them.

An `item_reference` stands for the item; reasoning without its encrypted content is as good as one. Source of the words:
github.com/can1357/oh-my-pi/issues/41 (2026-02).
"""

from collections.abc import Iterable, Sequence

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.wire import JsonObject, objects_of


def referred(items: object) -> list[str]:
    """The ids of the items that a request's `input` refers to."""
    return [str(item.get("id")) for item in objects_of(items) if _is_reference(item)]


def resolved(items: Iterable[JsonObject], *, known: Sequence[JsonObject]) -> list[JsonObject]:
    """The items with references replaced by what they stand for. Raises `RefusedError`."""
    by_id = {item.get("id"): item for item in known}
    return [_resolve(item, by_id.get(item.get("id"))) if _is_reference(item) else item for item in items]


def _resolve(item: JsonObject, kept: JsonObject | None) -> JsonObject:
    if kept is None:
        message = (
            f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
            "Try again with `store` set to true, or remove this item from your input."
        )
        raise RefusedError(message, param="input", status=404)
    return kept


def _is_reference(item: JsonObject) -> bool:
    kind = item.get("type")
    return kind == "item_reference" or (kind == "reasoning" and not isinstance(item.get("encrypted_content"), str))
