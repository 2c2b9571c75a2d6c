"""`@tool`: a function, sync or async, becomes a tool and stays callable."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, ParamSpec, TypeVar, overload

from tokenbus_schemas.tools import SHARED_SCOPE
from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.describe import describe
from tokenbus_toolkit.docstrings import parse_docstring
from tokenbus_toolkit.parameters import read_parameters
from tokenbus_toolkit.run import Run, as_run, runs_async
from tokenbus_toolkit.schema_fit import JsonObject
from tokenbus_toolkit.tool import MAX_OUTPUT_BYTES, Tool, ToolLimits

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT_S: Final = 60.0
DEFAULT_CONCURRENCY: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool(Tool, Generic[P, R]):
    """A decorated function: a tool for hosts, and still the function for everybody else."""

    function: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function itself, as if it were not decorated."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    version: str = "0.0.0",
    scope: str = SHARED_SCOPE,
    strict: bool = False,
    idempotent: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    concurrency: int = DEFAULT_CONCURRENCY,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    version: str = "0.0.0",
    scope: str = SHARED_SCOPE,
    strict: bool = False,
    idempotent: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    concurrency: int = DEFAULT_CONCURRENCY,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a tool of a function: `@tool`, or `@tool(timeout_s=5)`.

    The schema comes from the type hints, descriptions from the docstring (Google, NumPy or reST style) or from
    `Annotated[…, Field(description=…)]`. A parameter of type `ToolContext` is hidden from the model. A sync function
    runs in a thread. What it returns: see `outputs`; what it raises: see `ToolError`.

    `name`, `description`: default the function's own. `scope`: `shared`, or the one tenant that may call it. `strict`:
    offer the schema in the form to which providers hold a model. `idempotent`: running it twice has the effect of
    running it once, so it may be run again after a crash. `timeout_s`, `concurrency`, `max_output_bytes`: per run, per
    process and per result.

    Raises `ToolDefinitionError`.
    """

    def decorate(function: Callable[P, R]) -> FunctionTool[P, R]:
        named = name or getattr(function, "__name__", type(function).__name__)
        doc = parse_docstring(inspect.getdoc(function))
        parameters = read_parameters(function, tool=named, descriptions=doc.parameters)
        on_loop = runs_async(function, tool=named)

        def bind(arguments: JsonObject, context: ToolContext) -> Run:
            bound = parameters.bind(arguments, context)
            return as_run(functools.partial(function, *bound.args, **bound.kwargs), on_loop=on_loop)

        return FunctionTool(
            function=function,
            bind=bind,
            description=describe(
                named,
                description=doc.description if description is None else description,
                parameters=parameters.schema,
                version=version,
                scope=scope,
                strict=strict,
                idempotent=idempotent,
                timeout_s=timeout_s,
            ),
            limits=ToolLimits(concurrency=concurrency, max_output_bytes=max_output_bytes),
        )

    return decorate if function is None else decorate(function)
