"""Narrow parsed JSON: what an upstream sent is `object` until looked at; a wrong shape is None, no exception."""

from typing import cast

import orjson

JsonObject = dict[str, object]


def parse_object(payload: bytes) -> JsonObject | None:
    """The JSON object in `payload`, or None where it is no JSON or another kind of value."""
    try:
        return as_object(orjson.loads(payload))
    except orjson.JSONDecodeError:
        return None


def as_object(value: object) -> JsonObject | None:
    return cast("JsonObject", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object]:
    """The list, or an empty one: upstreams write null, {} and nothing for an empty list."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_objects(value: object) -> list[JsonObject]:
    """The objects of a list; whatever else stands between them is left out."""
    return [cast("JsonObject", entry) for entry in as_list(value) if isinstance(entry, dict)]


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def as_index(value: object) -> int | None:
    """A non-negative integer; true is not 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
