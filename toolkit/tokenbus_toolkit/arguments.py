"""From the text that a model wrote to the object that it meant. Pure.

In this order: JSON as it is; JSON inside a string, which some models send; then the same without chat-template marks or
a code fence around it; then `repair`. What is still no object is refused with a sentence that the model can act on.
"""

import json
import re
from collections.abc import Callable
from typing import Final, Never

from pydantic import JsonValue

from tokenbus_toolkit.errors import ArgumentsError
from tokenbus_toolkit.repair import mended
from tokenbus_toolkit.schema_fit import JsonObject

_NESTING: Final = 3
"""How often an object may have been encoded as a string again."""
_MARK: Final = r"(?:<[|\uff5c][^<>]{1,40}[|\uff5c]>|</?(?:tool_call|function|function_call|arguments|s)>)"
_LEADING: Final = re.compile(rf"\A(?:\s|{_MARK}|```(?:json)?)+")
_TRAILING: Final = re.compile(rf"(?:\s|{_MARK}|```)+\Z")
_EXPECTED: Final = "send one complete JSON object with the tool's parameters"


def read_arguments(text: str) -> JsonObject:
    """The object; {} for empty text, which models send for tools without parameters. Raises `ArgumentsError`."""
    if not text.strip():
        return {}
    try:
        value = _unwrapped(text, _decoded)
    except ValueError as problem:
        stripped = _TRAILING.sub("", _LEADING.sub("", text))
        try:
            value = _unwrapped(stripped, _decoded_or_mended)
        except ValueError as repair_problem:
            raise ArgumentsError(
                [f"this is no valid JSON ({problem}), and {repair_problem}; {_EXPECTED}"]
            ) from repair_problem
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArgumentsError([f"this is JSON, but no object; {_EXPECTED}"])
    return value


def _unwrapped(text: str, decode: Callable[[str], JsonValue]) -> JsonValue:
    value = decode(text)
    for _ in range(_NESTING):
        if not isinstance(value, str):
            break
        value = decode(value)
    return value


def _decoded(text: str) -> JsonValue:
    try:
        # Not strict: models write line breaks inside strings as they are, and that can only mean one thing.
        value: JsonValue = json.loads(text, strict=False, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _decoded_or_mended(text: str) -> JsonValue:
    try:
        return _decoded(text)
    except ValueError:
        return mended(text)


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON value")
