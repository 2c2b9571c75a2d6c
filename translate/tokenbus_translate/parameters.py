"""What each request parameter is called in either API: one row per parameter.

Sources: openai 3.54 `CompletionCreateParams` and `ResponseCreateParams`; Open Responses 2026-04-24.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tokenbus_translate.request_errors import need_text
from tokenbus_translate.tools import format_to_chat, format_to_responses


class Spelling(NamedTuple):
    """A parameter that the two APIs spell differently."""

    chat: str
    responses: tuple[str, ...]
    """Path in the Responses body."""
    read: Callable[[object, str], object]
    """Chat's value as Responses has it; gets the path for its refusal."""
    write: Callable[[object, str], object]
    """The inverse."""


def _same(value: object, _path: str) -> object:
    return value


SPELLINGS: Final = (
    Spelling("max_completion_tokens", ("max_output_tokens",), _same, _same),
    Spelling("max_tokens", ("max_output_tokens",), _same, _same),
    Spelling("reasoning_effort", ("reasoning", "effort"), need_text, need_text),
    Spelling("verbosity", ("text", "verbosity"), need_text, need_text),
    Spelling("response_format", ("text", "format"), format_to_responses, format_to_chat),
)

CHAT_ONLY: Final[Mapping[str, object]] = {
    "n": 1,
    "stop": None,
    "seed": None,
    "logit_bias": {},
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "prediction": None,
    "modalities": ["text"],
    "audio": None,
}
"""Parameters that Responses does not have, with the value that says nothing."""

RESPONSES_ONLY: Final[Mapping[str, object]] = {
    "max_tool_calls": None,
    "truncation": "disabled",
    "include": [],
}
"""Parameters that Chat Completions does not have, with the value that says nothing."""

SHARED: Final = (
    "temperature",
    "top_p",
    "top_logprobs",
    "parallel_tool_calls",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "user",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
)
"""Parameters that both APIs have under one name."""

OURS: Final = frozenset({"tokenbus", "stream", "stream_options", "background", "model", "previous_response_id"})
"""Parameters that say something to Tokenbus, or nothing: answers always stream, and run detached by themselves; what a
conversation said before is in the input."""

LOGPROBS: Final = "message.output_text.logprobs"
"""The value of `include` that stands for Chat's `logprobs: true`."""
