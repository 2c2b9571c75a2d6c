"""Strict schemas: what OpenAI demands of a JSON Schema that it is to guarantee.

Source: https://developers.openai.com/api/docs/guides/structured-outputs (2026-08): every object closed, every property
required.
"""

from collections.abc import Iterator, Mapping, Sequence

from tokenbus_simulator.wire import JsonObject, is_list, is_object, object_of, objects_of


def strict_problem(schema: Mapping[str, object]) -> str | None:
    """OpenAI's words for the first thing in `schema` that strict mode does not allow, None if there is none."""
    if schema.get("type") != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    return _problem(schema, at=())


def _problem(schema: Mapping[str, object], *, at: Sequence[str]) -> str | None:
    properties = object_of(schema.get("properties"))
    if schema.get("type") == "object" or properties:
        if schema.get("additionalProperties") is not False:
            return f"In context={_context(at)}, 'additionalProperties' is required to be supplied and to be false."
        required = schema.get("required")
        missing = [name for name in properties if not is_list(required) or name not in required]
        if missing:
            keys = "'required' is required to be supplied and to be an array including every key in properties."
            return f"In context={_context(at)}, {keys} Missing '{missing[0]}'."
    problems = (_problem(inner, at=(*at, *where)) for inner, where in _inner(schema))
    return next((problem for problem in problems if problem), None)


def _inner(schema: Mapping[str, object]) -> Iterator[tuple[JsonObject, tuple[str, ...]]]:
    """The schemas directly inside `schema`, and where."""
    for key in ("properties", "$defs"):
        for name, value in object_of(schema.get(key)).items():
            if is_object(value):
                yield value, (key, name)
    if is_object(items := schema.get("items")):
        yield items, ("items",)
    for index, choice in enumerate(objects_of(schema.get("anyOf"))):
        yield choice, ("anyOf", str(index))


def _context(steps: Sequence[str]) -> str:
    if len(steps) == 1:
        return f"('{steps[0]}',)"
    return "(" + ", ".join(f"'{step}'" for step in steps) + ")"
