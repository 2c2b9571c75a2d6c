"""Tools from Python modules: whatever a module holds under a public name and is a tool."""

import importlib
from collections.abc import Iterable

from tokenbus_toolkit import Tool
from tokenbus_tools.errors import ModuleError


def tools_of(modules: Iterable[str]) -> list[Tool]:
    """Imports each module, by its dotted name. Raises `ModuleError`; the module's own exception is its cause."""
    found: list[Tool] = []
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise ModuleError(name, f"can not be imported: {type(error).__name__}: {error}") from error
        tools = [value for key, value in vars(module).items() if isinstance(value, Tool) and not key.startswith("_")]
        if not tools:
            raise ModuleError(name, "holds no tool; decorate a function with @tool and give it a public name")
        found += [tool for tool in tools if all(tool is not known for known in found)]
    return found
