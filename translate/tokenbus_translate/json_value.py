"""Narrow parsed JSON: what an upstream sent is `object` until looked at; a wrong shape is None, no exception."""

import re
from typing import Final

import orjson

_LONE_SURROGATES: Final = re.compile(
    rb"(?P<pair>\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""Halves of characters; what must not be taken for one (an escaped backslash, a whole pair) is `pair`."""

JsonObject = dict[str, object]


def parse_object(payload: bytes) -> JsonObject | None:
    """The JSON object in `payload`, or None where it is no JSON or another kind of value.

    Gateways that cut strings by UTF-16 units send half of a character as a lone surrogate (openclaw #115536). No text
    can hold it: each becomes U+FFFD, since one broken emoji should not cost the answer.
    """
    try:
        return as_object(orjson.loads(payload))
    except orjson.JSONDecodeError:
        return _parse_with_halves(payload) if _LONE_SURROGATES.search(payload) else None


def _parse_with_halves(payload: bytes) -> JsonObject | None:
    whole = _LONE_SURROGATES.sub(lambda found: found[0] if found["pair"] else rb"\ufffd", payload)
    try:
        return as_object(orjson.loads(whole))
    except orjson.JSONDecodeError:
        return None


# These three run for every token, where `cast` would cost as much as they do.


def as_object(value: object) -> JsonObject | None:
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] JSON has no other


def as_list(value: object) -> list[object]:
    """The list, or an empty one: upstreams write null, {} and nothing for an empty list."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] any element is one


def as_objects(value: object) -> list[JsonObject]:
    """The objects of a list; whatever else stands between them is left out."""
    return [entry for entry in as_list(value) if isinstance(entry, dict)]


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def as_index(value: object) -> int | None:
    """A non-negative integer; true is not 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
