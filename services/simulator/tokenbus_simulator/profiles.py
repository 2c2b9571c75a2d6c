"""Profiles: what is publicly known to be different at each provider, as rows.

A profile is chosen by the URL (`/p/groq/openai/v1/chat/completions`) or by a script (`profile=groq`). What a provider
writes differently are quirks (`quirks.py`), what it refuses are rules (`provider_rules.py`). Base URLs and key headers
are those of livekit-plugins-openai 1.8.9 and its sister packages; each row, quirk and rule has its own source and date.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tokenbus_simulator.error_styles import (
    ErrorStyle,
    azure_error,
    bare_error,
    cerebras_error,
    openai_error,
    perplexity_error,
    telnyx_error,
    xai_error,
)
from tokenbus_simulator.provider_rules import (
    CEREBRAS_RULES,
    DEEPSEEK_RULES,
    GROQ_RULES,
    OPENAI_RULES,
    PERPLEXITY_RULES,
    TELNYX_RULES,
    UNKNOWN_TO_CEREBRAS,
    XAI_RULES,
)
from tokenbus_simulator.rules import Rule


class Profile(NamedTuple):
    """One provider."""

    base_path: str
    """The path of its base URL."""
    seen: str
    """Where what is said here is from, and when."""
    also: tuple[str, ...] = ()
    """Other paths that serve the same."""
    dated_path: str | None = None
    """A path that serves the same with `api-version` in the query, models also as `/deployments/<name>`."""
    responses: Literal["stateful", "stateless", "absent"] = "absent"
    """Whether it has the Responses API, and keeps what it answered."""
    key_headers: tuple[str, ...] = ("authorization",)
    quirks: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    own: frozenset[str] = frozenset()
    """Parameters it has beyond OpenAI's."""
    ignored: frozenset[str] = frozenset()
    """Parameters of OpenAI's that it takes and does nothing with."""
    unknown: str | None = "Unknown parameter: '{param}'."
    """How it refuses any other parameter; None where it ignores it."""
    unknown_code: str | None = "unknown_parameter"
    error: ErrorStyle = openai_error
    thinking_models: tuple[str, ...] = ()
    """Prefixes of models that reason unless they are told not to."""


OPENAI: Final = "openai"

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        OPENAI: Profile(
            "/v1",
            "https://developers.openai.com/api/reference (2026-08)",
            responses="stateful",
            rules=OPENAI_RULES,
        ),
        "azure": Profile(
            "/openai/v1",
            "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (2026)",
            dated_path="/openai",
            responses="stateful",
            key_headers=("api-key", "authorization"),
            quirks=("prompt-filter",),
            rules=OPENAI_RULES,
            error=azure_error,
        ),
        "baseten": Profile(
            "/v1",
            "https://docs.baseten.co/inference/model-apis/overview (2026-09); no difference is known",
            unknown=None,
        ),
        "cerebras": Profile(
            "/v1",
            "https://inference-docs.cerebras.ai/resources/openai (2026-09)",
            quirks=("reasoning-field", "time-info"),
            rules=CEREBRAS_RULES,
            own=frozenset({"reasoning_format", "disable_reasoning", "clear_thinking"}),
            unknown=UNKNOWN_TO_CEREBRAS,
            unknown_code="wrong_api_format",
            error=cerebras_error,
        ),
        "deepseek": Profile(
            "/v1",
            "https://api-docs.deepseek.com/guides/thinking_mode (2026-09); "
            "https://github.com/SaladDay/cc-switch-cli/issues/170, where an unknown parameter gets through (2026-05)",
            also=("",),
            responses="stateless",
            quirks=("usage-on-finish", "cache-tokens"),
            rules=DEEPSEEK_RULES,
            ignored=frozenset({"n", "seed", "logit_bias", "parallel_tool_calls", "service_tier", "verbosity", "store"}),
            unknown=None,
            thinking_models=("deepseek-reasoner", "deepseek-v4", "deepseek-flash", "deepseek-pro"),
        ),
        "fireworks": Profile(
            "/inference/v1",
            "https://docs.fireworks.ai/tools-sdks/openai-compatibility (2026-09), "
            "https://github.com/web-infra-dev/midscene/issues/1322 (2025-10), where the value follows",
            responses="stateful",
            quirks=("usage-on-finish",),
            own=frozenset(
                {
                    "top_k",
                    "min_p",
                    "repetition_penalty",
                    "prompt_cache_isolation_key",
                    "raw_output",
                    "reasoning_history",
                }
            ),
            unknown="Extra inputs are not permitted, field: '{param}'",
            unknown_code=None,
        ),
        "groq": Profile(
            "/openai/v1",
            "https://console.groq.com/docs/openai (2026-09)",
            responses="stateless",
            quirks=("reasoning-field", "whole-calls", "x-groq"),
            rules=GROQ_RULES,
            own=frozenset(
                {"reasoning_format", "include_reasoning", "search_settings", "documents", "citation_options"}
            ),
            unknown="property '{param}' is unsupported",
            unknown_code=None,
            error=bare_error,
        ),
        "perplexity": Profile(
            "",
            "https://docs.getbifrost.ai/providers/supported-providers/perplexity (2026)",
            also=("/v1",),
            responses="stateless",
            quirks=("usage-running", "usage-bare", "citations", "done-object", "sparse"),
            rules=PERPLEXITY_RULES,
            ignored=frozenset(
                {"stop", "logit_bias", "logprobs", "top_logprobs", "seed", "parallel_tool_calls", "service_tier"}
            ),
            unknown=None,
            error=perplexity_error,
        ),
        "telnyx": Profile(
            "/v2/ai",
            "https://developers.telnyx.com/docs/inference/getting-started (2026-09)",
            rules=TELNYX_RULES,
            unknown=None,
            error=telnyx_error,
        ),
        "together": Profile(
            "/v1",
            "https://docs.together.ai/docs/openai-api-compatibility (2026-09)",
            quirks=("finish-with-text", "usage-on-finish", "token-ids"),
            unknown=None,
        ),
        "xai": Profile(
            "/v1",
            "https://docs.x.ai/docs/guides/reasoning (2026-09)",
            responses="stateful",
            quirks=("whole-calls", "usage-always", "reasoning-apart", "sparse"),
            rules=XAI_RULES,
            unknown=None,
            error=xai_error,
        ),
    }
)
