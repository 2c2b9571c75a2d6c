"""Made-up arguments that fit a tool's JSON Schema: the required properties, with the plainest value of each type."""

from collections.abc import Mapping

import orjson

from tokenbus_simulator.wire import is_list, is_object


def example_arguments(parameters: Mapping[str, object]) -> str:
    """JSON text of an object for `parameters`; `{}` where the schema asks for nothing."""
    value = _example({"type": "object", **parameters})
    return orjson.dumps(value if is_object(value) else {}).decode()


def _example(schema: Mapping[str, object]) -> object:
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if is_list(values := schema.get(key)) and values:
            return values[0]
    for key in ("anyOf", "oneOf"):
        if is_list(choices := schema.get(key)) and choices and is_object(first := choices[0]):
            return _example(first)
    kind = schema.get("type")
    if is_list(kind):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            return _object(schema)
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "example"


def _object(schema: Mapping[str, object]) -> dict[str, object]:
    properties, required = schema.get("properties"), schema.get("required")
    if not is_object(properties) or not is_list(required):
        return {}
    return {
        name: _example(inner) if is_object(inner := properties.get(name)) else "example"
        for name in required
        if isinstance(name, str)
    }
