"""The Response resource in each of its states, as OpenAI writes it.

Source: openai 3.54 `types/responses/response.py` and Open Responses 2026-04-24, whose required keys are all here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokenbus_simulator.parts import Usage
from tokenbus_simulator.wire import JsonObject

INCOMPLETE_REASONS: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the finish that chat calls it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What stays the same in all states of one response."""

    id: str
    created_at: int
    model: str
    echo: JsonObject

    def state(
        self,
        status: str,
        *,
        output: list[JsonObject] | None = None,
        usage: Usage | None = None,
        incomplete_reason: str | None = None,
        error: JsonObject | None = None,
    ) -> JsonObject:
        """The whole resource in one state."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "completed_at": self.created_at if status == "completed" else None,
            "error": error,
            "incomplete_details": {"reason": incomplete_reason} if incomplete_reason else None,
            "model": self.model,
            "output": output or [],
            **self.echo,
            "usage": _usage(usage) if usage else None,
        }


def _usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
