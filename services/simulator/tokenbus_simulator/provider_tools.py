"""Tools that run at the provider: the items of their calls, their progress events, and what they cite.

A row per item type, from streams recorded at OpenAI: github.com/vercel/ai, packages/openai/src/responses/__fixtures__
(2025-09 to 2026-10), held against openai 3.54's types. A tool type without a row gets an item `<type>_call`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator.wire import JsonObject, is_list, is_object, object_of

_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PAGES: Final = ("https://example.com/harbour", "https://example.org/tides")
_FILE: Final = MappingProxyType({"file_id": "file-5eed0ff1ce0fa1150115", "filename": "handbook.pdf"})
_CONTAINER: Final = "cntr_5eed0ff1ce0fa1150115"


class Streamed(NamedTuple):
    """What the model writes for a call: told as `response.<name>.delta` and `.done`, kept in the item as `key`."""

    name: str
    key: str
    text: str
    """With `{query}`, or `{quoted}` for the same as JSON."""


class Citation(NamedTuple):
    """An annotation of the answer's text. `spans` ones say from where to where, the others where alone."""

    fields: JsonObject
    spans: bool = True


class CallKind(NamedTuple):
    """How one item type looks and is told. Texts have `{query}`, `{length}` of it, `{container}` and `{label}`."""

    item: str
    prefix: str
    """Of the item's id."""
    steps: tuple[str, ...]
    """Progress events `response.<item>.<step>`; what is streamed comes after the first."""
    blank: JsonObject
    """What the item has when it is added."""
    filled: JsonObject
    """What it has in the end."""
    gated: Mapping[str, JsonObject] = MappingProxyType({})
    """Fields put over those of `filled` when the request's `include` names them."""
    streamed: Streamed | None = None
    previews: bool = False
    """Whether there are events `response.<item>.partial_image` before the last step, as many as the tool asks for."""
    citation: Citation | None = None


class ProviderTool(NamedTuple):
    """A call to be made: the tool as the request names it, and what it is called for."""

    kind: CallKind
    settings: JsonObject
    query: str

    def written(self) -> str:
        """What the model writes for the call; may be empty."""
        return self._text(self.kind.streamed.text) if self.kind.streamed else ""

    def blank(self) -> JsonObject:
        """What the item has when it is added."""
        return object_of(self._filled(self.kind.blank))

    def filled(self, include: frozenset[str]) -> JsonObject:
        """What the item has in the end, with what the request's `include` names."""
        fields = dict(self.kind.filled)
        for name, gated in self.kind.gated.items():
            fields |= gated if name in include else {}
        return object_of(self._filled(fields))

    def previews(self) -> Iterator[JsonObject]:
        """The fields of each preview event."""
        wanted = self.settings.get("partial_images") if self.kind.previews else 0
        for index in range(wanted if isinstance(wanted, int) else 0):
            yield {"partial_image_index": index, "partial_image_b64": _PIXEL}

    def _filled(self, value: object) -> object:
        if is_object(value):
            return {key: self._filled(inner) for key, inner in value.items()}
        if is_list(value):
            return [self._filled(inner) for inner in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, template: str) -> str:
        container, label = self.settings.get("container"), self.settings.get("server_label", "simulator")
        return template.format(
            query=self.query,
            quoted=orjson.dumps(self.query).decode(),
            length=len(self.query),
            container=container if isinstance(container, str) else _CONTAINER,
            label=label,
        )


_RUN: Final = MappingProxyType({"status": "completed", "container_id": "{container}", "outputs": None})
_CALLED: Final = MappingProxyType({"server_label": "{label}", "name": "lookup", "error": None})
_SEARCH: Final = MappingProxyType({"type": "search", "query": "{query}", "queries": ["{query}"]})

_KINDS: Final[Mapping[str, tuple[CallKind, ...]]] = MappingProxyType(
    {
        "web_search": (
            CallKind(
                "web_search_call",
                "ws_",
                ("in_progress", "searching", "completed"),
                # Recorded ones have no action yet, which the SDK's type demands.
                blank={"status": "in_progress", "action": {"type": "search", "query": ""}},
                filled={"status": "completed", "action": {**_SEARCH}},
                gated={
                    "web_search_call.action.sources": {
                        "action": {**_SEARCH, "sources": [{"type": "url", "url": url} for url in _PAGES]}
                    }
                },
                citation=Citation({"type": "url_citation", "url": _PAGES[0], "title": "The harbour"}),
            ),
        ),
        "file_search": (
            CallKind(
                "file_search_call",
                "fs_",
                ("in_progress", "searching", "completed"),
                blank={"status": "in_progress", "queries": [], "results": None},
                filled={"status": "completed", "queries": ["{query}"], "results": None},
                gated={
                    "file_search_call.results": {
                        "results": [{**_FILE, "attributes": {}, "score": 0.9312, "text": "Ships leave with the tide."}]
                    }
                },
                citation=Citation({"type": "file_citation", **_FILE}, spans=False),
            ),
        ),
        "code_interpreter": (
            CallKind(
                "code_interpreter_call",
                "ci_",
                ("in_progress", "interpreting", "completed"),
                blank={**_RUN, "status": "in_progress"},
                filled={**_RUN},
                gated={"code_interpreter_call.outputs": {"outputs": [{"type": "logs", "logs": "{length}\n"}]}},
                streamed=Streamed("code_interpreter_call_code", "code", "question = {quoted}\nprint(len(question))\n"),
                citation=Citation(
                    {
                        "type": "container_file_citation",
                        "container_id": _CONTAINER,
                        "file_id": "cfile_5eed0ff1ce0fa1150115",
                        "filename": "plot.png",
                    }
                ),
            ),
        ),
        "image_generation": (
            CallKind(
                "image_generation_call",
                "ig_",
                ("in_progress", "generating", "completed"),
                blank={"status": "in_progress"},
                filled={"status": "completed", "result": _PIXEL, "revised_prompt": "{query}", "output_format": "png"},
                previews=True,
            ),
        ),
        "mcp": (
            CallKind(
                "mcp_list_tools",
                "mcpl_",
                ("in_progress", "completed"),
                blank={"server_label": "{label}", "tools": []},
                filled={
                    "server_label": "{label}",
                    "tools": [{"name": "lookup", "description": None, "input_schema": {"type": "object"}}],
                },
            ),
            CallKind(
                "mcp_call",
                "mcp_",
                ("in_progress", "completed"),
                blank={**_CALLED, "status": "in_progress", "output": None},
                filled={**_CALLED, "status": "completed", "output": "{query}", "approval_request_id": None},
                streamed=Streamed("mcp_call_arguments", "arguments", '{{"query":{quoted}}}'),
            ),
        ),
    }
)


def kinds_of(tool_type: str) -> tuple[CallKind, ...]:
    """The items one call of a tool of this type makes, in order. `web_search_preview` and dated names are aliases."""
    for name, kinds in _KINDS.items():
        if tool_type == name or tool_type.startswith(f"{name}_"):
            return kinds
    unknown = CallKind(
        f"{tool_type}_call",
        "ptc_",
        ("in_progress", "completed"),
        blank={"status": "in_progress"},
        filled={"status": "completed"},
    )
    return (unknown,)
