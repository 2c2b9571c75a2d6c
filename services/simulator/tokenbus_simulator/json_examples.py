"""Made-up JSON that fits a JSON Schema: arguments of a call, structured output. The same schema gives the same value.

What a schema asks for is filled in with the plainest value of its type; optional properties are left out. Keywords that
can not be met by construction (`not`, `if`, most of `pattern`) are ignored.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import orjson

from tokenbus_simulator.wire import JsonObject, is_list, is_object, object_of, objects_of

_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "date-time": "2026-01-31T12:00:00Z",
        "date": "2026-01-31",
        "time": "12:00:00Z",
        "duration": "PT1H",
        "email": "someone@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
)
_TRIES: Final = ("example", "Example", "a", "A", "0", "1", "12345", "AB12", "abc-123", *_FORMATS.values())
_DEEPEST: Final = 32  # a schema that contains itself without a way out ends here


def example_arguments(parameters: Mapping[str, object]) -> str:
    """JSON text of an object for a tool's `parameters`; `{}` where the schema asks for nothing."""
    value = example_of({"type": "object", **parameters})
    return orjson.dumps(value if is_object(value) else {}).decode()


def example_of(schema: Mapping[str, object]) -> object:
    """A JSON value that fits `schema`."""
    return _example(schema, root=schema, trail=("#",))


def _example(schema: Mapping[str, object], *, root: Mapping[str, object], trail: tuple[str, ...]) -> object:
    if len(trail) > _DEEPEST:
        return None
    pointer = schema.get("$ref")
    if isinstance(pointer, str):
        found = _resolved(pointer, root)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _example({**found, **rest}, root=root, trail=(*trail, pointer))
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if is_list(values := schema.get(key)) and values:
            return values[0]
    if parts := objects_of(schema.get("allOf")):
        return _example(_merged([*parts, schema], root), root=root, trail=trail)
    for key in ("anyOf", "oneOf"):
        if choices := objects_of(schema.get(key)):
            fresh = [choice for choice in choices if choice.get("$ref") not in trail]
            return _example((fresh or choices)[0], root=root, trail=trail)
    return _of_type(schema, root=root, trail=trail)


def _of_type(schema: Mapping[str, object], *, root: Mapping[str, object], trail: tuple[str, ...]) -> object:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if is_list(kind):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            properties, required = schema.get("properties"), schema.get("required")
            known = properties if is_object(properties) else {}
            names = [name for name in required if isinstance(name, str)] if is_list(required) else []
            return {name: _example(object_of(known.get(name)), root=root, trail=trail) for name in names}
        case "array":
            return _array(schema, root=root, trail=trail)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema)


def _array(schema: Mapping[str, object], *, root: Mapping[str, object], trail: tuple[str, ...]) -> list[object]:
    first = objects_of(schema.get("prefixItems"))
    items = object_of(schema.get("items"))
    fewest = _whole(schema.get("minItems"), 0)
    wanted = fewest if not items or items.get("$ref") in trail else max(fewest, 1)
    wanted = min(max(wanted, len(first)), _whole(schema.get("maxItems"), wanted + len(first)))
    schemas = [*first, *[items] * max(0, wanted - len(first))][:wanted]
    return [_example(each, root=root, trail=trail) for each in schemas]


def _number(schema: Mapping[str, object], *, whole: bool) -> float:
    step = _real(schema.get("multipleOf")) or (1 if whole else 0)
    low, high = _real(schema.get("minimum")), _real(schema.get("maximum"))
    above, below = _real(schema.get("exclusiveMinimum")), _real(schema.get("exclusiveMaximum"))
    value: float = 1
    if low is not None or above is not None:
        value = max(limit for limit in (low, above) if limit is not None)
    elif high is not None or below is not None:
        value = min(limit for limit in (high, below, value) if limit is not None)
    if step:
        value = math.ceil(value / step) * step if low is not None or above is not None else value // step * step
    if above is not None and value <= above:
        value = above + step if step else (above + (above + 1 if high is None else high)) / 2
    if below is not None and value >= below:
        value = below - step if step else below - 1
    return int(value) if whole else value


def _string(schema: Mapping[str, object]) -> str:
    shortest, longest = _whole(schema.get("minLength"), 0), schema.get("maxLength")
    pattern, form = schema.get("pattern"), schema.get("format")
    text = _FORMATS.get(form, "example") if isinstance(form, str) else "example"
    if isinstance(pattern, str):
        text = next((each for each in _TRIES if _matches(pattern, each)), text)
    text = text.ljust(shortest, "x")
    return text[: _whole(longest, len(text))]


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # JSON Schema has the dialect of ECMA 262
        return False


def _resolved(pointer: str, root: Mapping[str, object]) -> Mapping[str, object]:
    found: object = dict(root)
    for step in pointer.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if is_object(found) else None
    return found if is_object(found) else {}


def _merged(schemas: Sequence[Mapping[str, object]], root: Mapping[str, object]) -> JsonObject:
    merged: JsonObject = {}
    properties: JsonObject = {}
    required: list[object] = []
    for schema in schemas:
        pointer = schema.get("$ref")
        part = {**_resolved(pointer, root), **schema} if isinstance(pointer, str) else schema
        merged |= {key: value for key, value in part.items() if key not in ("allOf", "$ref")}
        if is_object(more := part.get("properties")):
            properties |= more
        if is_list(names := part.get("required")):
            required += [name for name in names if name not in required]
    return {**merged, "properties": properties, "required": required} if properties or required else merged


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _real(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
