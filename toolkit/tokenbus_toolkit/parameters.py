"""A function's parameters as JSON Schema, and arguments checked against them: type hints, through pydantic."""

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.errors import ArgumentsError, ToolDefinitionError
from tokenbus_toolkit.schema_fit import JsonObject, fit

_SHOWN_PROBLEMS: Final = 10
_CONFIG: Final = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Parameters:
    """`schema` is the JSON Schema of the arguments object."""

    schema: JsonObject
    _signature: inspect.Signature
    _model: type[BaseModel]
    _fields: Mapping[str, str]
    _context_name: str | None

    def bind(self, arguments: JsonObject, context: ToolContext) -> inspect.BoundArguments:
        """What to call the function with. Raises `ArgumentsError`, one problem per parameter."""
        fitted = fit(arguments, self.schema)
        try:
            # As JSON: there a string is a date, an enum's value or a UUID, and a list a tuple, in strict mode too.
            model = self._model.model_validate_json(json.dumps(fitted))
        except ValidationError as error:
            raise ArgumentsError(_problems(error, known=list(self._fields))) from None
        given: dict[str, object] = {name: getattr(model, field) for name, field in self._fields.items()}
        if self._context_name is not None:
            given[self._context_name] = context
        bound = self._signature.bind_partial()
        bound.arguments.update({name: given[name] for name in self._signature.parameters})
        return bound


def read_parameters(function: Callable[..., object], *, tool: str, descriptions: Mapping[str, str]) -> Parameters:
    """`descriptions`: what the docstring says of each parameter; one in `Annotated[…, Field(description=…)]` wins.

    A parameter of type `ToolContext` is left out of the schema. Raises `ToolDefinitionError`.
    """
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolDefinitionError(tool, f"a type hint can not be resolved: {error}") from error
    fields: dict[str, str] = {}
    definitions: dict[str, Any] = {}
    context_name: str | None = None
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ToolDefinitionError(tool, f"parameter {name!r} takes any number of values; name each one")
        if name not in hints:
            raise ToolDefinitionError(tool, f"parameter {name!r} has no type hint")
        if _is_context(hints[name]):
            context_name = name
            continue
        # Field names of our own, with the parameter's as alias: a parameter may be called `schema` or `_id`.
        fields[name] = f"p{len(fields)}"
        described = None if _has_description(hints[name]) else descriptions.get(name)
        info = Field(alias=name) if described is None else Field(alias=name, description=described)
        default = ... if parameter.default is parameter.empty else parameter.default
        definitions[fields[name]] = (typing.Annotated[hints[name], info], default)
    try:
        model = create_model(f"{tool} arguments", __config__=_CONFIG, **definitions)
        schema = model.model_json_schema(schema_generator=_Generator)
    except PydanticUserError as error:
        raise ToolDefinitionError(tool, f"a type hint has no JSON Schema: {error.message}") from error
    return Parameters(without_titles(schema), signature, model, fields, context_name)


def without_titles(schema: JsonObject) -> JsonObject:
    """Without the titles that pydantic makes from names; a property that is called `title` stays."""
    kept: JsonObject = {}
    for keyword, value in schema.items():
        if keyword == "title" and isinstance(value, str):
            continue
        if keyword in ("properties", "$defs") and isinstance(value, dict):
            kept[keyword] = {name: without_titles(n) if isinstance(n, dict) else n for name, n in value.items()}
        elif keyword in ("default", "const", "enum", "examples"):
            kept[keyword] = value
        else:
            kept[keyword] = _without_titles_inside(value)
    return kept


def _without_titles_inside(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return without_titles(value)
    if isinstance(value, list):
        return [_without_titles_inside(item) for item in value]
    return value


class _Generator(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that is no JSON, or a choice that has no schema, is left out; nobody needs to hear of it."""


def _is_context(hint: object) -> bool:
    return any(isinstance(part, type) and issubclass(part, ToolContext) for part in (hint, *typing.get_args(hint)))


def _has_description(hint: object) -> bool:
    metadata: tuple[object, ...] = getattr(hint, "__metadata__", ())
    return any(isinstance(item, FieldInfo) and item.description is not None for item in metadata)


def _problems(error: ValidationError, *, known: list[str]) -> list[str]:
    problems: list[str] = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(step) for step in found["loc"]) or "the arguments"
        if found["type"] == "missing":
            problems.append(f"{where}: is required and missing")
        elif found["type"] == "extra_forbidden" and len(found["loc"]) == 1:
            problems.append(f"{where}: there is no such parameter; there are {', '.join(known) or 'none'}")
        else:
            problems.append(f"{where}: {found['msg']}")
    if len(problems) > _SHOWN_PROBLEMS:
        problems[_SHOWN_PROBLEMS:] = [f"and {len(problems) - _SHOWN_PROBLEMS} more"]
    return problems
