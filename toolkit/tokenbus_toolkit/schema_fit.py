"""Brings what a model sent nearer to what the schema means, without changing what it says. Pure.

Two habits of models are undone, at any depth:

- null for a property that is optional and not nullable means "not given" (strict schemas leave a model no other way);
- an object or array that was encoded twice, and so arrives as a string, is decoded where the schema takes no string.
"""

import json
from typing import Final

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

_DEPTH: Final = 32
_CONTAINERS: Final = frozenset({"object", "array"})


def fit(arguments: JsonObject, schema: JsonObject) -> JsonObject:
    """`arguments` as `schema`, the original and not its strict form, means them."""
    fitted = _fit(arguments, schema, root=schema)
    return fitted if isinstance(fitted, dict) else arguments


def _fit(value: JsonValue, node: JsonObject, *, root: JsonObject) -> JsonValue:
    node = _resolved(node, root=root)
    if isinstance(value, str):
        accepted = _kinds(node, root=root)
        if "string" in accepted or not accepted & _CONTAINERS:
            return value
        decoded = _decoded(value)
        return decoded if isinstance(decoded, str) else _fit(decoded, node, root=root)
    if isinstance(value, dict):
        shapes = [shape for shape in _alternatives(node, root=root) if _may_describe(shape, value, root=root)]
        return {
            name: _fit(item, _node(_property(shapes[0], name)) if len(shapes) == 1 else {}, root=root)
            for name, item in value.items()
            if not (item is None and shapes and all(_may_miss(shape, name, root=root) for shape in shapes))
        }
    if isinstance(value, list):
        lists = [shape for shape in _alternatives(node, root=root) if shape.get("type") == "array"]
        items = _node(lists[0].get("items")) if len(lists) == 1 else {}
        return [_fit(item, items, root=root) for item in value]
    return value


def _may_describe(shape: JsonObject, value: JsonObject, *, root: JsonObject) -> bool:
    """Whether `value` may be meant by this alternative: where it says which values a property has, it has one."""
    properties = shape.get("properties")
    if not isinstance(properties, dict):
        return False
    for name, item in value.items():
        node = _resolved(_node(properties.get(name)), root=root)
        values = [node["const"]] if "const" in node else node.get("enum")
        if item is not None and isinstance(values, list) and item not in values:
            return False
    return True


def _may_miss(shape: JsonObject, name: str, *, root: JsonObject) -> bool:
    """Whether the property is optional and not nullable, so that null can only mean "not given"."""
    required, node = shape.get("required"), _property(shape, name)
    if isinstance(required, list) and name in required:
        return False
    return isinstance(node, dict) and "null" not in _kinds(node, root=root)


def _property(shape: JsonObject, name: str) -> JsonValue:
    properties = shape.get("properties")
    return properties.get(name) if isinstance(properties, dict) else None


def _decoded(text: str) -> JsonValue:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _kinds(node: JsonObject, *, root: JsonObject, depth: int = 0) -> frozenset[str]:
    """Which JSON types may be valid; all of them where the schema does not say."""
    node = _resolved(node, root=root)
    kind = node.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(name for name in kind if isinstance(name, str))
    values = [node["const"]] if "const" in node else node.get("enum")
    if isinstance(values, list):
        return frozenset(_kind_of(value) for value in values)
    alternatives = _alternatives(node, root=root)
    if depth < _DEPTH and alternatives != [node]:
        return frozenset(kind for node in alternatives for kind in _kinds(node, root=root, depth=depth + 1))
    return frozenset({"string", "number", "integer", "boolean", "null", "object", "array"})


def _kind_of(value: JsonValue) -> str:
    names: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


def _alternatives(node: JsonObject, *, root: JsonObject) -> list[JsonObject]:
    for keyword in ("anyOf", "oneOf", "allOf"):
        choices = node.get(keyword)
        if isinstance(choices, list):
            return [_resolved(choice, root=root) for choice in choices if isinstance(choice, dict)]
    return [node]


def _resolved(node: JsonObject, *, root: JsonObject) -> JsonObject:
    """Follows `$ref` inside the schema; {}, which allows everything, where it leads nowhere."""
    for _ in range(_DEPTH):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        target: JsonValue = root
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step) if isinstance(target, dict) else None
        node = _node(target)
    return {}


def _node(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
