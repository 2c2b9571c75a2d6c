"""The documented event types and the fields each must carry besides `type` and `sequence_number`.

Sources: Open Responses 2026-04-24 (24 events) and, where marked, OpenAI's Responses streaming reference as of openai
3.54 (2026-08). Provider events that are not listed pass through unchanged; a reader must ignore types it does not know.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

FieldKind = Literal["string", "index", "object", "list", "response", "item"]

_PART: Final[dict[str, FieldKind]] = {"item_id": "string", "output_index": "index", "content_index": "index"}
_SUMMARY: Final[dict[str, FieldKind]] = {"item_id": "string", "output_index": "index", "summary_index": "index"}
_ITEM: Final[dict[str, FieldKind]] = {"item_id": "string", "output_index": "index"}
_LIFECYCLE: Final[dict[str, FieldKind]] = {"response": "response"}

TOOL_PROGRESS: Final = "tokenbus:tool.progress"
"""What a function tool says of its progress while it runs. `item_id` and `output_index` are those of its call; besides,
`message` (text) and `fraction` (how much is done, 0 to 1), either of which may be null. A reader may ignore it; the
output follows as an item of its own."""

REWOUND: Final = "tokenbus:response.rewound"
"""What was written of the answer is void from `output_index` on, and written anew by what follows; `attempt` does that.
Items before that index stay. A reader drops the others, whoever published them."""

RESUMED: Final = "tokenbus:response.resumed"
"""A later attempt goes on with the very stream that an earlier one published: behind the event numbered `after`, which
is the last of the earlier ones that holds. `attempt` is the later one. A reader that has n events behind `after` drops
the next n: they are those events again."""

SNAPSHOT: Final = "tokenbus:response.snapshot"
"""Made by the replay service for a late joiner, never published: `response` as it stands, with all output so far. It is
in the place of all events up to its `sequence_number`."""

EVENT_FIELDS: Final[Mapping[str, Mapping[str, FieldKind]]] = MappingProxyType(
    {
        "response.created": _LIFECYCLE,
        "response.queued": _LIFECYCLE,
        "response.in_progress": _LIFECYCLE,
        "response.completed": _LIFECYCLE,
        "response.incomplete": _LIFECYCLE,
        "response.failed": _LIFECYCLE,
        "response.output_item.added": {"output_index": "index", "item": "item"},
        "response.output_item.done": {"output_index": "index", "item": "item"},
        "response.content_part.added": {**_PART, "part": "object"},
        "response.content_part.done": {**_PART, "part": "object"},
        # OpenAI's types require `logprobs` on both text events; Open Responses leaves it optional.
        "response.output_text.delta": {**_PART, "delta": "string", "logprobs": "list"},
        "response.output_text.done": {**_PART, "text": "string", "logprobs": "list"},
        "response.output_text.annotation.added": {**_PART, "annotation_index": "index", "annotation": "object"},
        "response.refusal.delta": {**_PART, "delta": "string"},
        "response.refusal.done": {**_PART, "refusal": "string"},
        # OpenAI's names; Open Responses calls them response.reasoning.delta and .done.
        "response.reasoning_text.delta": {**_PART, "delta": "string"},
        "response.reasoning_text.done": {**_PART, "text": "string"},
        "response.reasoning_summary_part.added": {**_SUMMARY, "part": "object"},
        "response.reasoning_summary_part.done": {**_SUMMARY, "part": "object"},
        "response.reasoning_summary_text.delta": {**_SUMMARY, "delta": "string"},
        "response.reasoning_summary_text.done": {**_SUMMARY, "text": "string"},
        "response.function_call_arguments.delta": {**_ITEM, "delta": "string"},
        # OpenAI's OpenAPI document also wants `name` here.
        "response.function_call_arguments.done": {**_ITEM, "name": "string", "arguments": "string"},
        TOOL_PROGRESS: _ITEM,
        REWOUND: {"attempt": "index", "output_index": "index"},
        RESUMED: {"attempt": "index", "after": "index"},
        SNAPSHOT: _LIFECYCLE,
    }
)

LIFECYCLE_TYPES: Final = frozenset(name for name, fields in EVENT_FIELDS.items() if "response" in fields)
"""Events that hold the whole response resource."""

RESPONSE_KEYS: Final = (
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
)
"""Keys that every response resource has, null where nothing is known (Open Responses, `ResponseResource`)."""
