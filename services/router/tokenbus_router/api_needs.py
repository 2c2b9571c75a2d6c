"""What in a request exists in one of the two APIs only, as rows.

A request that uses none of these goes through either API; the translator maps everything else both ways, and its tables
of parameters, with their sources, are where the rows for plain parameters come from.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from tokenbus_schemas.requests import Api, ChatRequest
from tokenbus_translate.parameters import CHAT_ONLY, LOGPROBS, RESPONSES_ONLY
from tokenbus_translate.responses_request import MIN_OUTPUT_TOKENS

API_NAMES: Final[Mapping[Api, str]] = MappingProxyType(
    {"responses": "the Responses API", "chat_completions": "the Chat Completions API"}
)


class ApiNeed(NamedTuple):
    """A part of a request that only one API can carry."""

    api: Api
    field: str
    """Its path, as the caller wrote it: `stop`, `tools[1]`."""
    reason: str
    """Why, as half a sentence."""


Finder = Callable[[ChatRequest], str | None]
"""The path of the field in question, if the request uses it."""


@dataclass(frozen=True, slots=True)
class _Row:
    api: Api
    find: Finder
    reason: str


def _says(field: str, *, unless: object) -> Finder:
    def find(request: ChatRequest) -> str | None:
        value: object = getattr(request, field)
        return None if value is None or value == unless else field

    return find


def _keys(field: str, *, shared: Set[str]) -> Finder:
    """The keys of an object field, but for those that the other API can say too."""

    def find(request: ChatRequest) -> str | None:
        given: dict[str, object] = getattr(request, field) or {}
        alone = (key for key, value in given.items() if key not in shared and value is not None)
        return next((f"{field}.{key}" for key in alone), None)

    return find


def _provider_tool(request: ChatRequest) -> str | None:
    for index, tool in enumerate(request.tools or ()):
        kind: object = tool.get("type")
        if isinstance(kind, str) and kind not in _FUNCTION_TOOLS:
            return f"tools[{index}]"
    return None


def _few_tokens(request: ChatRequest) -> str | None:
    for field in ("max_output_tokens", "max_completion_tokens", "max_tokens"):
        limit: int | None = getattr(request, field)
        if limit is not None and limit < MIN_OUTPUT_TOKENS:
            return field
    return None


def _include(request: ChatRequest) -> str | None:
    wanted = enumerate(request.include or ())
    return next((f"include[{index}]" for index, name in wanted if name != LOGPROBS), None)


_FUNCTION_TOOLS: Final = frozenset({"function", "custom"})

_ROWS: Final[tuple[_Row, ...]] = (
    *(
        _Row("chat_completions", _says(name, unless=nothing), "only the Chat Completions API has it")
        for name, nothing in CHAT_ONLY.items()
    ),
    _Row("chat_completions", _few_tokens, f"the Responses API takes no limit below {MIN_OUTPUT_TOKENS}"),
    _Row("responses", _provider_tool, "only the Responses API runs provider tools"),
    *(
        _Row("responses", _says(name, unless=nothing), "only the Responses API has it")
        for name, nothing in RESPONSES_ONLY.items()
        if name != "include"
    ),
    _Row("responses", _include, "only the Responses API has it"),
    _Row("responses", _keys("reasoning", shared={"effort"}), "only the Responses API has it"),
    _Row("responses", _keys("text", shared={"format", "verbosity"}), "only the Responses API has it"),
)


def api_needs(request: ChatRequest) -> Iterator[ApiNeed]:
    """Every part of the request that decides the API, in the order of the rows."""
    for row in _ROWS:
        field = row.find(request)
        if field is not None:
            yield ApiNeed(row.api, field, row.reason)
