"""Tools that run at the provider: the items of their calls, their progress events, and what they cite.

A row per item type, from streams recorded at OpenAI: github.com/vercel/ai, packages/openai/src/responses/__fixtures__
(2025-09 to 2026-10), held against openai 3.54's types. A tool type without a row gets an item `<type>_call`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator.wire import JsonObject

Fields = Callable[[JsonObject, str], JsonObject]
"""Fields of an item, from the tool's settings and the query."""

_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PAGES: Final = ("https://example.com/harbour", "https://example.org/tides")
_FILE: Final = {"file_id": "file-5eed0ff1ce0fa1150115", "filename": "handbook.pdf"}
_CONTAINER: Final = "cntr_5eed0ff1ce0fa1150115"


class Streamed(NamedTuple):
    """What the model writes for a call: told as `response.<name>.delta` and `.done`, kept in the item as `key`."""

    name: str
    key: str
    text: Callable[[str], str]
    """The text, from the query."""


class Citation(NamedTuple):
    """An annotation of the answer's text. `spans` ones say from where to where, the others where alone."""

    fields: JsonObject
    spans: bool = True


class CallKind(NamedTuple):
    """How one item type looks and is told."""

    item: str
    prefix: str
    """Of the item's id."""
    steps: tuple[str, ...]
    """Progress events `response.<item>.<step>`; what is streamed comes after the first."""
    blank: Fields
    """What the item has when it is added."""
    filled: Fields
    """What it has in the end."""
    gated: Mapping[str, Fields] = MappingProxyType({})
    """Fields that take the place of those in `filled` when the request's `include` names them."""
    streamed: Streamed | None = None
    previews: Callable[[JsonObject], Sequence[JsonObject]] | None = None
    """Events `response.<item>.partial_image` before the last step."""
    citation: Citation | None = None


def _search_action(query: str, more: JsonObject) -> JsonObject:
    return {"status": "completed", "action": {"type": "search", "query": query, "queries": [query], **more}}


def _code(query: str) -> str:
    return f"question = {orjson.dumps(query).decode()}\nprint(len(question))\n"


def _container(settings: JsonObject) -> str:
    named = settings.get("container")
    return named if isinstance(named, str) else _CONTAINER


def _previews(settings: JsonObject) -> Sequence[JsonObject]:
    wanted = settings.get("partial_images")
    number = wanted if isinstance(wanted, int) else 0
    return [{"partial_image_index": index, "partial_image_b64": _PIXEL} for index in range(number)]


def _label(settings: JsonObject) -> JsonObject:
    return {"server_label": settings.get("server_label", "simulator")}


_WEB_SEARCH: Final = CallKind(
    "web_search_call",
    "ws_",
    ("in_progress", "searching", "completed"),
    # Recorded ones have no action yet, which the SDK's type demands.
    blank=lambda _, __: {"status": "in_progress", "action": {"type": "search", "query": ""}},
    filled=lambda _, query: _search_action(query, {}),
    gated={
        "web_search_call.action.sources": lambda _, query: _search_action(
            query, {"sources": [{"type": "url", "url": url} for url in _PAGES]}
        )
    },
    citation=Citation({"type": "url_citation", "url": _PAGES[0], "title": "The harbour"}),
)
_FILE_SEARCH: Final = CallKind(
    "file_search_call",
    "fs_",
    ("in_progress", "searching", "completed"),
    blank=lambda _, __: {"status": "in_progress", "queries": [], "results": None},
    filled=lambda _, query: {"status": "completed", "queries": [query], "results": None},
    gated={
        "file_search_call.results": lambda _, query: {
            "status": "completed",
            "queries": [query],
            "results": [{**_FILE, "attributes": {}, "score": 0.9312, "text": "Ships leave with the tide."}],
        }
    },
    citation=Citation({"type": "file_citation", **_FILE}, spans=False),
)
_CODE_INTERPRETER: Final = CallKind(
    "code_interpreter_call",
    "ci_",
    ("in_progress", "interpreting", "completed"),
    blank=lambda settings, _: {"status": "in_progress", "container_id": _container(settings), "outputs": None},
    filled=lambda settings, _: {"status": "completed", "container_id": _container(settings), "outputs": None},
    gated={
        "code_interpreter_call.outputs": lambda settings, query: {
            "status": "completed",
            "container_id": _container(settings),
            "outputs": [{"type": "logs", "logs": f"{len(query)}\n"}],
        }
    },
    streamed=Streamed("code_interpreter_call_code", "code", _code),
    citation=Citation(
        {"type": "container_file_citation", "container_id": _CONTAINER, "file_id": "cfile_5eed", "filename": "plot.png"}
    ),
)
_IMAGE_GENERATION: Final = CallKind(
    "image_generation_call",
    "ig_",
    ("in_progress", "generating", "completed"),
    blank=lambda _, __: {"status": "in_progress"},
    filled=lambda _, query: {"status": "completed", "result": _PIXEL, "revised_prompt": query, "output_format": "png"},
    previews=_previews,
)
_MCP_LIST: Final = CallKind(
    "mcp_list_tools",
    "mcpl_",
    ("in_progress", "completed"),
    blank=lambda settings, _: {**_label(settings), "tools": []},
    filled=lambda settings, _: {
        **_label(settings),
        "tools": [{"name": "lookup", "description": None, "input_schema": {"type": "object"}, "annotations": None}],
    },
)
_MCP_CALL: Final = CallKind(
    "mcp_call",
    "mcp_",
    ("in_progress", "completed"),
    blank=lambda settings, _: {**_label(settings), "status": "in_progress", "name": "lookup", "output": None},
    filled=lambda settings, query: {
        **_label(settings),
        **{"status": "completed", "name": "lookup", "output": query, "error": None, "approval_request_id": None},
    },
    streamed=Streamed("mcp_call_arguments", "arguments", lambda query: orjson.dumps({"query": query}).decode()),
)

_KINDS: Final[Mapping[str, tuple[CallKind, ...]]] = MappingProxyType(
    {
        "web_search": (_WEB_SEARCH,),
        "file_search": (_FILE_SEARCH,),
        "code_interpreter": (_CODE_INTERPRETER,),
        "image_generation": (_IMAGE_GENERATION,),
        "mcp": (_MCP_LIST, _MCP_CALL),
    }
)


def kinds_of(tool_type: str) -> tuple[CallKind, ...]:
    """The items one call of a tool of this type makes, in order. `web_search_preview` and dated names are aliases."""
    for name, kinds in _KINDS.items():
        if tool_type == name or tool_type.startswith(f"{name}_"):
            return kinds
    done: Fields = lambda _, __: {"status": "completed"}  # noqa: E731 # a row of its own, made on demand
    started: Fields = lambda _, __: {"status": "in_progress"}  # noqa: E731
    return (CallKind(f"{tool_type}_call", "ptc_", ("in_progress", "completed"), blank=started, filled=done),)
