"""What a host says of a tool, checked when the tool is made and not when a model first calls it. Pure."""

import re
from typing import Final

from tokenbus.strict_schema import NotStrictError, strict_schema
from tokenbus_schemas.subjects import InvalidTokenError, check_token
from tokenbus_schemas.tools import ToolDescription
from tokenbus_toolkit.errors import ToolDefinitionError
from tokenbus_toolkit.schema_fit import JsonObject

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


def describe(
    name: str,
    *,
    description: str,
    parameters: JsonObject,
    version: str,
    scope: str,
    strict: bool,
    idempotent: bool,
    timeout_s: float,
) -> ToolDescription:
    """Raises `ToolDefinitionError`."""
    try:
        check_token("name", name)
        check_token("scope", scope)
        offered = strict_schema(parameters) if strict else parameters
    except InvalidTokenError as error:
        raise ToolDefinitionError(name, str(error)) from error
    except NotStrictError as error:
        raise ToolDefinitionError(name, f"the schema has no strict form: {error}") from error
    if parameters.get("type", "object") != "object":
        raise ToolDefinitionError(name, "parameters: the schema must describe an object")
    if _VERSION.fullmatch(version) is None:
        raise ToolDefinitionError(name, f"version: {version!r} is no semantic version; write it like 1.2.3")
    if timeout_s <= 0:
        raise ToolDefinitionError(name, f"timeout_s: {timeout_s:g} must be above 0")
    return ToolDescription(
        name=name,
        scope=scope,
        description=description,
        parameters=offered,
        strict=strict,
        version=version,
        idempotent=idempotent,
        timeout_s=timeout_s,
    )
