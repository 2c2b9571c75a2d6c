"""`@raw_tool`: a function with a JSON Schema of its author's own."""

import functools
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from tokenbus_schemas.tools import SHARED_SCOPE
from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.describe import describe
from tokenbus_toolkit.errors import ArgumentsError
from tokenbus_toolkit.function_tool import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT_S, FunctionTool
from tokenbus_toolkit.run import Run, as_run, runs_async
from tokenbus_toolkit.schema_fit import JsonObject, fit
from tokenbus_toolkit.tool import MAX_OUTPUT_BYTES, ToolLimits

R = TypeVar("R")


def raw_tool(
    *,
    name: str,
    description: str,
    parameters: Mapping[str, object],
    version: str = "0.0.0",
    scope: str = SHARED_SCOPE,
    strict: bool = False,
    idempotent: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    concurrency: int = DEFAULT_CONCURRENCY,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> Callable[[Callable[[JsonObject, ToolContext], R]], FunctionTool[[JsonObject, ToolContext], R]]:
    """Make a tool of a function `(arguments, context)` with a JSON Schema of your own.

    The arguments are an object with every required property and, where the schema says `additionalProperties: false`,
    no unknown one; nothing else is checked. The keywords mean what they mean to `tool`. Raises `ToolDefinitionError`.
    """

    schema = cast("JsonObject", dict(parameters))

    def decorate(
        function: Callable[[JsonObject, ToolContext], R],
    ) -> FunctionTool[[JsonObject, ToolContext], R]:
        on_loop = runs_async(function, tool=name)

        def bind(arguments: JsonObject, context: ToolContext) -> Run:
            fitted = check_raw(arguments, schema)
            return as_run(functools.partial(function, fitted, context), on_loop=on_loop)

        return FunctionTool(
            function=function,
            bind=bind,
            description=describe(
                name,
                description=description,
                parameters=schema,
                version=version,
                scope=scope,
                strict=strict,
                idempotent=idempotent,
                timeout_s=timeout_s,
            ),
            limits=ToolLimits(concurrency=concurrency, max_output_bytes=max_output_bytes),
        )

    return decorate


def check_raw(arguments: JsonObject, schema: JsonObject) -> JsonObject:
    """`arguments`, fitted to `schema`. Raises `ArgumentsError` for a missing property, or one that may not be there."""
    fitted = fit(arguments, schema)
    required, properties = schema.get("required"), schema.get("properties")
    named = properties if isinstance(properties, dict) else {}
    problems = [
        f"{key}: is required and missing"
        for key in (required if isinstance(required, list) else [])
        if key not in fitted
    ]
    if schema.get("additionalProperties") is False:
        known = ", ".join(named) or "none"
        problems += [f"{key}: there is no such parameter; there are {known}" for key in fitted if key not in named]
    if problems:
        raise ArgumentsError(problems)
    return fitted
