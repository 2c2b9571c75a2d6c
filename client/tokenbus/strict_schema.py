"""The strict form of a JSON Schema, in which a provider can hold a model to it. Pure.

Rules, as OpenAI states them (https://platform.openai.com/docs/guides/structured-outputs, read 2026-11-20): every object
names all its properties, requires all of them and allows no others. So an optional property becomes required and
nullable, and whoever reads the arguments takes null for "not given". Some keywords are not understood; those that only
narrow a value are left out (the arguments are validated anyway), the others make a schema impossible to hold to.
"""

from typing import Final

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

_LEFT_OUT: Final = frozenset(
    {
        "$id", "$schema", "default", "deprecated", "discriminator", "examples", "maxLength", "minLength", "readOnly",
        "title", "uniqueItems", "writeOnly",
    }
)  # fmt: skip
_IMPOSSIBLE: Final = frozenset(
    {
        "contains", "dependentRequired", "dependentSchemas", "else", "if", "not", "patternProperties", "prefixItems",
        "propertyNames", "then", "unevaluatedProperties",
    }
)  # fmt: skip
_FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"},
)
_SHAPES: Final = ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const")
_NULL: Final[JsonObject] = {"type": "null"}


class NotStrictError(ValueError):
    """The schema has no strict form. Attributes: `path` (where in the schema, as in `days.items`), `problem`."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path or 'the arguments'}: {problem}")


def strict_schema(schema: JsonObject) -> JsonObject:
    """The strict form of `schema`, which must describe an object; `schema` stays as it is. Raises `NotStrictError`."""
    definitions: dict[str, JsonObject] = {}
    for keyword in ("$defs", "definitions"):
        found = schema.get(keyword)
        if isinstance(found, dict):
            definitions |= {f"#/{keyword}/{name}": node for name, node in found.items() if isinstance(node, dict)}
    root = {name: value for name, value in schema.items() if name not in ("$defs", "definitions")}
    maker = _Maker(definitions)
    made = maker.node({"type": "object", "properties": {}, **root}, path="", inside=())
    if maker.used:
        made["$defs"] = {name.rpartition("/")[2]: node for name, node in maker.used.items()}
    return made


def is_nullable(node: JsonObject) -> bool:
    """Whether null is one of the values that `node` itself allows; a `$ref` is not followed."""
    kind = node.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return True
    choices = node.get("anyOf")
    return isinstance(choices, list) and any(isinstance(choice, dict) and is_nullable(choice) for choice in choices)


class _Maker:
    def __init__(self, definitions: dict[str, JsonObject]) -> None:
        self._definitions = definitions
        self.used: dict[str, JsonObject] = {}

    def node(self, source: JsonObject, *, path: str, inside: tuple[str, ...]) -> JsonObject:
        """`inside`: the references that were written out on the way here."""
        for keyword in _IMPOSSIBLE & source.keys():
            raise NotStrictError(path, f"{keyword!r} has no strict form")
        if not any(keyword in source for keyword in _SHAPES):
            raise NotStrictError(path, "any value is allowed; give it a type")
        reference = source.get("$ref")
        if isinstance(reference, str):
            return self._reference(reference, source, path=path, inside=inside)
        made = {name: value for name, value in source.items() if name not in _LEFT_OUT}
        if made.get("format") not in _FORMATS:
            made.pop("format", None)
        self._choices(made, path=path, inside=inside)
        if made.get("type") == "object":
            self._object(made, path=path, inside=inside)
        elif made.get("type") == "array":
            items = made.get("items")
            if not isinstance(items, dict):
                raise NotStrictError(path, "items of any type are allowed; give them one")
            made["items"] = self.node(items, path=f"{path}.items".lstrip("."), inside=inside)
        return made

    def _reference(self, reference: str, source: JsonObject, *, path: str, inside: tuple[str, ...]) -> JsonObject:
        """With other keywords beside it, a reference is written out: strict form knows none beside `$ref`."""
        target = self._definitions.get(reference)
        if target is None:
            raise NotStrictError(path, f"{reference!r} is not among the schema's definitions")
        beside = {name: value for name, value in source.items() if name != "$ref" and name not in _LEFT_OUT}
        if beside and reference not in inside:
            return self.node({**target, **beside}, path=path, inside=(*inside, reference))
        name = f"#/$defs/{reference.rpartition('/')[2]}"
        if name not in self.used:
            self.used[name] = {}
            self.used[name] = self.node(target, path=path, inside=())
        return {"$ref": name}

    def _choices(self, made: JsonObject, *, path: str, inside: tuple[str, ...]) -> None:
        every = made.pop("allOf", None)
        if isinstance(every, list):
            if len(every) != 1 or not isinstance(every[0], dict):
                raise NotStrictError(path, "'allOf' has no strict form")
            made |= {**self.node(every[0], path=path, inside=inside), **made}
        choices = made.pop("oneOf", None) or made.get("anyOf")
        if isinstance(choices, list):
            made["anyOf"] = [
                self.node(choice, path=path, inside=inside) for choice in choices if isinstance(choice, dict)
            ]

    def _object(self, made: JsonObject, *, path: str, inside: tuple[str, ...]) -> None:
        properties = made.get("properties")
        if made.get("additionalProperties", False) is not False:
            raise NotStrictError(path, "properties of any name are allowed; name them all")
        if not isinstance(properties, dict) or (path and not properties and "additionalProperties" not in made):
            raise NotStrictError(path, "an object without named properties is allowed; name them all")
        required = made.get("required")
        needed = required if isinstance(required, list) else []
        made["properties"] = {
            name: self._property(node, optional=name not in needed, path=f"{path}.{name}".lstrip("."), inside=inside)
            for name, node in properties.items()
        }
        made["required"] = list(properties)
        made["additionalProperties"] = False

    def _property(self, node: JsonValue, *, optional: bool, path: str, inside: tuple[str, ...]) -> JsonObject:
        made = self.node(node if isinstance(node, dict) else {}, path=path, inside=inside)
        if not optional or is_nullable(made):
            return made
        choices = made.get("anyOf")
        if isinstance(choices, list):
            return {**made, "anyOf": [*choices, _NULL]}
        kind = made.get("type")
        if isinstance(kind, str) and "enum" not in made and "const" not in made:
            return {**made, "type": [kind, "null"]}
        description = made.pop("description", None)
        wrapped: JsonObject = {"anyOf": [made, _NULL]}
        return wrapped if description is None else {**wrapped, "description": description}
