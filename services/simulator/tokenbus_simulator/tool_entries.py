"""Tools of a request in both APIs' spelling, checked as OpenAI checks them.

Responses has `{"type": "function", "name": …}`, chat `{"type": "function", "function": {"name": …}}`; each API refuses
the other's form. Chat takes no tool that runs at the provider:
github.com/langchain-ai/langchain-litellm/issues/197 (2026-06).
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tokenbus_simulator.asked import RefusedError, Tool, missing, unsupported
from tokenbus_simulator.strictness import strict_problem
from tokenbus_simulator.wire import JsonObject, is_object, object_of, objects_of

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CHAT_TYPES: Final = ("function", "custom")
_CLIENT_TYPES: Final = frozenset({"function", "custom"})

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"file_search": ("vector_store_ids",), "code_interpreter": ("container",), "mcp": ("server_label",)}
)
"""What a provider tool can not do without: openai 3.54 `ToolParam`."""


def responses_tools(tools: Sequence[JsonObject]) -> tuple[Tool, ...]:
    """The functions among the tools of a Responses request. Raises `RefusedError`."""
    functions = list[Tool]()
    for index, tool in enumerate(tools):
        at = f"tools[{index}]"
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise missing(f"{at}.type")
        for key in _REQUIRED.get(kind, ()):
            if tool.get(key) is None:
                raise missing(f"{at}.{key}")
        if kind == "function":
            functions.append(_function(tool, at=at))
    return tuple(functions)


def provider_tools(tools: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """The tools of a Responses request that run at the provider."""
    return tuple(tool for tool in tools if tool.get("type") not in _CLIENT_TYPES)


def chat_tools(tools: Sequence[JsonObject]) -> tuple[Tool, ...]:
    """The functions among the tools of a chat request. Raises `RefusedError`."""
    functions = list[Tool]()
    for index, tool in enumerate(tools):
        at, kind = f"tools[{index}]", tool.get("type")
        if kind not in _CHAT_TYPES:
            raise unsupported(kind, param=f"{at}.type", supported=_CHAT_TYPES)
        if not is_object(tool.get(str(kind))):
            raise missing(f"{at}.{kind}")
        if kind == "function":
            functions.append(_function(object_of(tool["function"]), at=f"{at}.function"))
    return tuple(functions)


def responses_choice(choice: object, *, tools: Sequence[JsonObject]) -> str:
    """`auto`, `none`, `required`, a function's name or a provider tool's type. Raises `RefusedError`."""
    if not is_object(choice):
        return str(choice)
    kind = choice.get("type")
    if kind == "allowed_tools":
        return "required" if choice.get("mode") == "required" else "auto"
    key = "name" if kind in _CLIENT_TYPES else "type"
    if not isinstance(choice.get(key), str):
        raise missing(f"tool_choice.{key}")
    return _offered(str(choice[key]), [tool.get(key) for tool in tools])


def allowed_names(choice: object) -> frozenset[object] | None:
    """The functions a tool choice narrows the request to, None where it does not narrow them."""
    if not is_object(choice) or choice.get("type") != "allowed_tools":
        return None
    return frozenset(tool.get("name") for tool in objects_of(choice.get("tools")))


def chat_choice(choice: object, *, tools: Sequence[JsonObject]) -> str:
    """`auto`, `none`, `required` or a function's name. Raises `RefusedError`."""
    if not is_object(choice):
        return str(choice)
    kind = str(choice.get("type"))
    if kind == "allowed_tools":
        return "required" if object_of(choice.get("allowed_tools")).get("mode") == "required" else "auto"
    name = object_of(choice.get(kind)).get("name")
    if not isinstance(name, str):
        raise missing(f"tool_choice.{kind}")
    return _offered(name, [object_of(tool.get(kind)).get("name") for tool in tools])


def _offered(name: str, offered: Sequence[object]) -> str:
    if name not in offered:
        raise RefusedError(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return name


def _function(function: JsonObject, *, at: str) -> Tool:
    name = function.get("name")
    if not isinstance(name, str):
        raise missing(f"{at}.name")
    if not _NAME.fullmatch(name):
        message = f"Invalid '{at}.name': string does not match pattern. Expected a string that matches the pattern "
        raise RefusedError(f"{message}'^[a-zA-Z0-9_-]+$'.", param=f"{at}.name", code="invalid_value")
    parameters = object_of(function.get("parameters"))
    problem = strict_problem(parameters) if function.get("strict") is True else None
    if problem:
        message = f"Invalid schema for function '{name}': {problem}"
        raise RefusedError(message, param=f"{at}.parameters", code="invalid_function_parameters")
    return Tool(name, parameters)
