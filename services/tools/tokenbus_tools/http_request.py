"""From a row of the tools file and a model's arguments to an HTTP request. Pure.

An argument goes into the path where the URL has its name in braces. The others go into the query for GET, HEAD and
DELETE, and into a JSON body for the rest. No argument can change the host, or climb out of the path.
"""

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pydantic import JsonValue

from tokenbus_toolkit import ToolError
from tokenbus_tools.errors import ToolsFileError
from tokenbus_tools.tools_file import HttpToolRow

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class HttpRequest(NamedTuple):
    """`body` None: there is none."""

    url: str
    body: dict[str, JsonValue] | None


def check_places(row: HttpToolRow) -> None:
    """Every `{name}` in the URL is a required parameter and stands in the path. Raises `ToolsFileError`."""
    properties, required = row.parameters.get("properties"), row.parameters.get("required")
    problems: list[str] = []
    for name in _PLACE.findall(row.url):
        if not isinstance(properties, dict) or name not in properties:
            problems.append(f"http tool {row.name}: url: {{{name}}} is no parameter")
        elif not isinstance(required, list) or name not in required:
            problems.append(f"http tool {row.name}: url: {{{name}}} must be a required parameter")
    parts = urlsplit(row.url)
    if _PLACE.search(parts.netloc) or _PLACE.search(parts.query) or _PLACE.search(parts.fragment):
        problems.append(f"http tool {row.name}: url: arguments may stand in the path only")
    if problems:
        raise ToolsFileError(problems)


def http_request(row: HttpToolRow, arguments: Mapping[str, JsonValue]) -> HttpRequest:
    """Raises `ToolError` for an argument that can not stand in a path."""
    placed = set(_PLACE.findall(row.url))
    url = _PLACE.sub(lambda place: _in_path(place[1], arguments.get(place[1])), row.url)
    if placed and any(segment in (".", "..") for segment in urlsplit(url).path.split("/")):
        raise ToolError("an argument that becomes part of an address must not be '.' or '..'")
    rest = {name: value for name, value in arguments.items() if name not in placed}
    if row.method in _WITH_BODY:
        return HttpRequest(url, rest)
    parts = urlsplit(url)
    added = urlencode([pair for name, value in rest.items() for pair in _in_query(name, value)])
    query = "&".join(part for part in (parts.query, added) if part)
    return HttpRequest(parts._replace(query=query).geturl(), None)


def _in_path(name: str, value: JsonValue) -> str:
    if value is None or isinstance(value, dict | list) or value == "":
        raise ToolError(f"{name}: must be a text or a number that is not empty, since it becomes part of an address")
    return quote(_text(value), safe="")


def _in_query(name: str, value: JsonValue) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [(name, _text(item)) for item in value]
    return [] if value is None else [(name, _text(value))]


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
