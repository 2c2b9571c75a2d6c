"""The function tools of a request: which may be run here, and which are named without a definition. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokenbus_schemas import ErrorCode, RequestError
from tokenbus_schemas.subjects import TOKEN_PATTERN
from tokenbus_schemas.tools import ToolDescription
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_text

_SERVABLE: Final = re.compile(TOKEN_PATTERN, re.ASCII)
_SHOWN_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A function tool that a request names and does not define."""

    index: int
    """Its place in the request's `tools`."""
    name: str

    @property
    def servable(self) -> bool:
        """Whether a service could offer a tool of this name."""
        return _SERVABLE.fullmatch(self.name) is not None


def runnable(request: Mapping[str, object]) -> frozenset[str]:
    """The functions that may be run here: those that the request offers to the model, and no other.

    None where several choices are asked for: each of them would be a conversation of its own.
    """
    if (as_index(request.get("n")) or 1) > 1:
        return frozenset()
    return frozenset(tool.name for tool in _functions(request) if tool.servable)


def undefined(request: Mapping[str, object]) -> list[NamedTool]:
    """The function tools that have no `parameters`."""
    tools = as_list(request.get("tools"))
    return [tool for tool in _functions(request) if (as_object(tools[tool.index]) or {}).get("parameters") is None]


def defined(request: Mapping[str, object], descriptions: Mapping[int, ToolDescription]) -> JsonObject:
    """The request with the tools at these places defined as they are described.

    What the request says of a tool stays, but for `strict`: that goes with the parameters.
    """
    tools = as_list(request.get("tools"))
    said = [_defined(tool, descriptions[index]) if index in descriptions else tool for index, tool in enumerate(tools)]
    return {**request, "tools": said}


def not_offered(tool: NamedTool) -> RequestError:
    """The refusal of a tool that neither the request nor a service defines."""
    path = f"tools[{tool.index}]"
    return RequestError(
        ErrorCode.INVALID_VALUE,
        f"{path}: {tool.name[:_SHOWN_CHARACTERS]!r} has no `parameters`, and no service offers a tool of that name; "
        "send its parameters, or start the service",
        param=path,
    )


def _functions(request: Mapping[str, object]) -> list[NamedTool]:
    return [
        NamedTool(index, name)
        for index, raw in enumerate(as_list(request.get("tools")))
        if (tool := as_object(raw)) is not None
        and tool.get("type") == "function"
        and (name := as_text(tool.get("name"))) is not None
    ]


def _defined(tool: object, description: ToolDescription) -> JsonObject:
    said = {name: value for name, value in (as_object(tool) or {}).items() if value is not None}
    described = {"description": description.description} if description.description else {}
    return {**described, **said, "parameters": description.parameters, "strict": description.strict}
