"""How a function runs: on the event loop or in a thread."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from tokenbus_toolkit.errors import ToolDefinitionError


@dataclass(frozen=True, slots=True)
class AsyncRun:
    """Runs on the event loop, once `start` is called; cancelled when it must end."""

    start: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class ThreadRun:
    """Runs in a thread; must look at `ToolContext.stopped` if it takes long."""

    start: Callable[[], object]


Run = AsyncRun | ThreadRun


def as_run(function: Callable[[], object], *, on_loop: bool) -> Run:
    """For one call, with its arguments bound."""
    return AsyncRun(cast("Callable[[], Awaitable[object]]", function)) if on_loop else ThreadRun(function)


def runs_async(function: Callable[..., object], *, tool: str) -> bool:
    """Whether calling it gives an awaitable. Raises `ToolDefinitionError` for a generator."""
    callables = (function, getattr(function, "__call__", function))  # noqa: B004 - an object may be callable
    if any(inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each) for each in callables):
        raise ToolDefinitionError(tool, "it yields; return the whole output, and use ToolContext.progress on the way")
    return any(inspect.iscoroutinefunction(each) for each in callables)
