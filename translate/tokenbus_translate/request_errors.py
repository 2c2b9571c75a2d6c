"""Refusals of requests: each names the place, what is wrong there, and what to do."""

from typing import cast

from tokenbus_schemas import ErrorCode, RequestError
from tokenbus_translate.json_value import JsonObject, as_object, as_text


def wrong_value(path: str, wanted: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_VALUE, f"{path}: must be {wanted}", param=path)


def unsupported_value(path: str, problem: str) -> RequestError:
    return RequestError(ErrorCode.UNSUPPORTED_VALUE, f"{path}: {problem}", param=path)


def unsupported_parameter(path: str, problem: str) -> RequestError:
    return RequestError(ErrorCode.UNSUPPORTED_PARAMETER, f"{path}: {problem}", param=path)


def said_twice(path: str, other: str) -> RequestError:
    return RequestError(
        ErrorCode.INVALID_REQUEST, f"{path}: contradicts {other}, which says the same; send one of them", param=path
    )


def need_object(value: object, path: str) -> JsonObject:
    """The object at `path`. Raises `RequestError`."""
    found = as_object(value)
    if found is None:
        raise wrong_value(path, "an object")
    return found


def need_text(value: object, path: str) -> str:
    """The string at `path`. Raises `RequestError`."""
    found = as_text(value)
    if found is None:
        raise wrong_value(path, "a string")
    return found


def need_list(value: object, path: str, *, wanted: str = "a list") -> list[object]:
    """The list at `path`. Raises `RequestError`."""
    if not isinstance(value, list):
        raise wrong_value(path, wanted)
    return cast("list[object]", value)
