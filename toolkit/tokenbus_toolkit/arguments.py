"""From the text that a model wrote to the object that it meant. Pure.

In this order: JSON as it is; JSON inside a string, which some models send; then the same without chat-template marks or
a code fence around it; then `repair`. What is still no object is refused with a sentence that the model can act on, and
so are values that JSON or Python has no form for. Takes time in proportion to the text: it runs on the event loop.
"""

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Final, Never

from pydantic import JsonValue

from tokenbus_toolkit.errors import ArgumentsError
from tokenbus_toolkit.repair import mended
from tokenbus_toolkit.schema_fit import JsonObject

_NESTING: Final = 3
"""How often an object may have been encoded as a string again."""
_MARK: Final = r"(?:<[|\uff5c][^<>]{1,40}[|\uff5c]>|</?(?:tool_call|function|function_call|arguments|s)>)"
_LEADING: Final = re.compile(rf"\A(?:\s|{_MARK}|```(?:json)?)+")
_LAST_MARK: Final = re.compile(rf"(?:{_MARK}|```)\Z")
_LONGEST_MARK: Final = 48
_SHOWN: Final = 40
_EXPECTED: Final = "send one complete JSON object with the tool's parameters"


class _ImpossibleValueError(ValueError):
    """Well spelled, but not to be had; mending would make something else of it."""


def read_arguments(text: str) -> JsonObject:
    """The object; {} for empty text, which models send for tools without parameters. Raises `ArgumentsError`."""
    if not text.strip():
        return {}
    try:
        value = _unwrapped(text, _decoded)
    except _ImpossibleValueError as problem:
        raise ArgumentsError([f"{problem}; {_EXPECTED}"]) from problem
    except ValueError as problem:
        try:
            value = _unwrapped(_without_marks(text), _decoded_or_mended)
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


def _without_marks(text: str) -> str:
    left = _LEADING.sub("", text).rstrip()
    # Mark by mark, looking at the end alone: a pattern that may begin anywhere takes time in proportion to the square.
    while (mark := _LAST_MARK.search(left, max(0, len(left) - _LONGEST_MARK))) is not None:
        left = left[: mark.start()].rstrip()
    return left


def _decoded(text: str) -> JsonValue:
    try:
        # Not strict: models write line breaks inside strings as they are, and that can only mean one thing.
        value: JsonValue = json.loads(text, strict=False, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise _ImpossibleValueError("this is nested too deeply") from error
    return value


def _decoded_or_mended(text: str) -> JsonValue:
    try:
        return _decoded(text)
    except _ImpossibleValueError:
        raise
    except ValueError:
        return mended(text)


def _refuse(name: str) -> Never:
    raise _ImpossibleValueError(f"{name} is no JSON value")


def _float(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _refuse(f"{text[:_SHOWN]}, which is beyond all floating-point numbers,")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads 4,300 digits
        _refuse(f"a number of {len(text)} digits")
