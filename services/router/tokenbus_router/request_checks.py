"""What tools, the choice among them and the output format must look like, whoever serves the model.

Providers would refuse the same, later and in words of their own. Of a provider's tools only what the table says is
known; everything else about them passes as it is.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.requests import ChatRequest

_Object = Mapping[str, object]


class Field(NamedTuple):
    """A field of a provider tool."""

    tools: str
    """Beginning of the tool's `type`: there are dated and preview variants."""
    name: str
    check: Callable[[object], bool]
    wanted: str
    source: str
    required: bool = False


_LIVEKIT: Final = "livekit-plugins-openai 1.8.9, tools.py, and docs.livekit.io/agents/models/llm/openai (2026-08-22)"
_OPENAI: Final = "https://developers.openai.com/api/reference/resources/responses (2026-08-21)"


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _are_ids(value: object) -> bool:
    ids = cast("list[object]", value) if isinstance(value, list) else []
    return bool(ids) and all(isinstance(name, str) and name for name in ids)


def _is_container(value: object) -> bool:
    return isinstance(value, str | dict)


def _is_result_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 50


FIELDS: Final = (
    Field("web_search", "search_context_size", _one_of("low", "medium", "high"), "low, medium or high", _LIVEKIT),
    Field("web_search", "user_location", _is_object, "an object", _LIVEKIT),
    Field("web_search", "filters", _is_object, "an object", _LIVEKIT),
    Field("file_search", "vector_store_ids", _are_ids, "a list of at least one id", _LIVEKIT, required=True),
    Field("file_search", "filters", _is_object, "an object", _LIVEKIT),
    Field("file_search", "max_num_results", _is_result_count, "an integer from 1 to 50", _OPENAI),
    Field("file_search", "ranking_options", _is_object, "an object", _LIVEKIT),
    Field(
        "code_interpreter", "container", _is_container, "a container's id, or an object such as {type: auto}", _LIVEKIT
    ),
)
"""What is known of provider tools. Null is absent."""

FUNCTION_NAME: Final = re.compile("[A-Za-z0-9_-]{1,64}")  # Open Responses 2026-04-24, FunctionToolParam
_CHOICES: Final = ("auto", "none", "required")
_FORMATS: Final = ("text", "json_object", "json_schema")


def check_parts(request: ChatRequest) -> None:
    """Raises `RequestError`, which names the place."""
    given = request.model_fields_set
    names: set[str] = set()
    for index, tool in enumerate(request.tools or ()):
        names.add(_check_tool(tool, path=f"tools[{index}]"))
    for index, function in enumerate(request.functions or ()):
        names.add(_check_function(function, path=f"functions[{index}]"))
    if "tool_choice" in given:
        _check_choice(request.tool_choice, names=names)
    if request.web_search_options is not None:
        for field in FIELDS:
            if field.tools == "web_search":
                _check_field(field, request.web_search_options, path=f"web_search_options.{field.name}")
    _check_words(request.reasoning, path="reasoning", keys=("effort", "summary"))
    _check_words(request.text, path="text", keys=("verbosity",))
    if request.response_format is not None:
        _check_format(request.response_format, path="response_format", nested=True)
    if request.text is not None and request.text.get("format") is not None:
        _check_format(request.text["format"], path="text.format", nested=False)


def _check_words(given: _Object | None, *, path: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        value = None if given is None else given.get(key)
        if value is not None and not isinstance(value, str):
            raise _wrong(f"{path}.{key}", "must be a string")


def _check_tool(tool: _Object, *, path: str) -> str:
    """The tool's name, empty where it has none."""
    kind = tool.get("type")
    if not isinstance(kind, str) or not kind:
        raise _wrong(f"{path}.type", "must be a string: function, or the name of a provider tool")
    if kind in ("function", "custom"):
        nested = tool.get(kind)
        if nested is None:
            return _check_function(tool, path=path)
        if not isinstance(nested, dict):
            raise _wrong(f"{path}.{kind}", "must be an object")
        return _check_function(cast("_Object", nested), path=f"{path}.{kind}")
    for field in FIELDS:
        if kind.startswith(field.tools):
            _check_field(field, tool, path=f"{path}.{field.name}")
    return ""


def _check_field(field: Field, tool: _Object, *, path: str) -> None:
    value = tool.get(field.name)
    if value is None and field.required:
        raise RequestError(ErrorCode.MISSING_PARAMETER, f"{path}: is missing; send {field.wanted}", param=path)
    if value is not None and not field.check(value):
        raise _wrong(path, f"must be {field.wanted}")


def _check_function(function: _Object, *, path: str) -> str:
    name = function.get("name")
    if not isinstance(name, str) or FUNCTION_NAME.fullmatch(name) is None:
        raise _wrong(f"{path}.name", "must be 1 to 64 letters, digits, '_' and '-'")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise _wrong(f"{path}.parameters", "must be a JSON Schema: an object")
    strict = function.get("strict")
    if strict is not None and not isinstance(strict, bool):
        raise _wrong(f"{path}.strict", "must be true or false")
    return name


def _check_choice(choice: object, *, names: set[str]) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise _wrong("tool_choice", f"must be {', '.join(_CHOICES)}, or an object that names a tool")
        if choice == "required" and not names:
            raise _needs_tools()
        return
    chosen = cast("_Object", choice)
    if chosen.get("type") not in ("function", "custom"):
        return
    if not names:
        raise _needs_tools()
    kind = str(chosen["type"])
    holder, path = (chosen[kind], f"tool_choice.{kind}") if kind in chosen else (chosen, "tool_choice")
    name = cast("_Object", holder).get("name") if isinstance(holder, dict) else None
    if name not in names:
        raise _wrong(f"{path}.name", "must name one of the tools of this request")


def _needs_tools() -> RequestError:
    problem = "tool_choice: asks for a call, and there are no tools; send tools, or leave it out"
    return RequestError(ErrorCode.INVALID_REQUEST, problem, param="tool_choice")


def _check_format(form: object, *, path: str, nested: bool) -> None:
    if not isinstance(form, dict):
        raise _wrong(path, "must be an object")
    wanted = cast("_Object", form)
    kind = wanted.get("type")
    if kind not in _FORMATS:
        raise _wrong(f"{path}.type", f"must be {', '.join(_FORMATS)}")
    if kind != "json_schema":
        return
    described = wanted.get("json_schema") if nested else wanted
    place = f"{path}.json_schema" if nested else path
    if not isinstance(described, dict):
        raise _wrong(place, "must be an object with name and schema")
    fields = cast("_Object", described)
    name, schema = fields.get("name"), fields.get("schema")
    if not isinstance(name, str) or FUNCTION_NAME.fullmatch(name) is None:
        raise _wrong(f"{place}.name", "must be 1 to 64 letters, digits, '_' and '-'")
    if not isinstance(schema, dict):
        raise _wrong(f"{place}.schema", "must be a JSON Schema: an object")


def _wrong(path: str, problem: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_VALUE, f"{path}: {problem}", param=path)
