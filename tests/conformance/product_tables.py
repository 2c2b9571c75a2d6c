"""What the product promises its users, as rows: every row has a test in this folder that looks at the upstream's side.

Sources: LiveKit's documentation page on OpenAI models (2026-08-22); livekit-agents and livekit-plugins-openai 1.8.9 for
addresses and key variables; OpenAI's reference of the Responses API (2026-08-21) for provider tools.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = dict[str, Any]
Api = Literal["responses", "chat_completions"]

MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai/gpt-4.1": ("azure", "openai"),
    "openai/gpt-4.1-mini": ("azure", "openai"),
    "openai/gpt-4.1-nano": ("azure", "openai"),
    "openai/gpt-4o": ("azure", "openai"),
    "openai/gpt-4o-mini": ("azure", "openai"),
    "openai/gpt-5": ("azure", "openai"),
    "openai/gpt-5-mini": ("azure", "openai"),
    "openai/gpt-5-nano": ("azure", "openai"),
    "openai/gpt-5.1": ("azure", "openai"),
    "openai/gpt-5.1-chat-latest": ("azure", "openai"),
    "openai/gpt-5.2": ("azure", "openai"),
    "openai/gpt-5.2-chat-latest": ("azure", "openai"),
    "openai/gpt-5.3-chat-latest": ("azure", "openai"),
    "openai/gpt-5.4": ("azure", "openai"),
    "openai/gpt-oss-120b": ("baseten", "groq"),
}
"""Model IDs, and who serves them, in order."""


def upstream_name(model: str, *, provider: str) -> str:
    """What a provider calls the model: gpt-oss is known by its maker's name too, OpenAI's own by theirs alone."""
    return model if provider in ("baseten", "groq") else model.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider: where it is, how its key is sent, and the dialect it is spoken to in."""

    name: str
    base_url: str
    base_url_env: str
    key_env: str
    model: str
    """The default model of LiveKit's plugin."""
    key_header: Literal["authorization", "api-key"] = "authorization"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Its name of the limit of tokens."""
    thoughts: Literal["reasoning_content", "reasoning"] | None = None
    """Where it wants the reasoning of earlier messages back."""
    developer: Literal["developer", "system"] = "system"
    stream_options: Json = field(default_factory=lambda: {"include_usage": True})


ENDPOINTS: Final = (
    Endpoint(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "gpt-4.1",
        limit="max_completion_tokens",
        developer="developer",
    ),
    Endpoint(
        "azure",
        "",
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_KEY",
        "gpt-4o",
        key_header="authorization",
        limit="max_completion_tokens",
        developer="developer",
    ),
    Endpoint(
        "baseten",
        "https://inference.baseten.co/v1",
        "BASETEN_BASE_URL",
        "BASETEN_API_KEY",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    ),
    Endpoint(
        "cerebras",
        "https://api.cerebras.ai/v1",
        "CEREBRAS_BASE_URL",
        "CEREBRAS_API_KEY",
        "gpt-oss-120b",
        limit="max_completion_tokens",
        thoughts="reasoning",
    ),
    Endpoint(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_BASE_URL",
        "FIREWORKS_API_KEY",
        "accounts/fireworks/models/llama-v3p3-70b-instruct",
    ),
    Endpoint(
        "groq",
        "https://api.groq.com/openai/v1",
        "GROQ_BASE_URL",
        "GROQ_API_KEY",
        "llama-3.3-70b-versatile",
        limit="max_completion_tokens",
        thoughts="reasoning",
    ),
    Endpoint(
        "perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_BASE_URL",
        "PERPLEXITY_API_KEY",
        "sonar-pro",
        stream_options={},
    ),
    Endpoint(
        "telnyx",
        "https://api.telnyx.com/v2/ai",
        "TELNYX_BASE_URL",
        "TELNYX_API_KEY",
        "meta-llama/Meta-Llama-3.1-70B-Instruct",
    ),
    Endpoint(
        "together",
        "https://api.together.xyz/v1",
        "TOGETHER_BASE_URL",
        "TOGETHER_API_KEY",
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
    ),
    Endpoint(
        "xai",
        "https://api.x.ai/v1",
        "XAI_BASE_URL",
        "XAI_API_KEY",
        "grok-3-fast",
        limit="max_completion_tokens",
    ),
    Endpoint(
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_BASE_URL",
        "DEEPSEEK_API_KEY",
        "deepseek-chat",
        thoughts="reasoning_content",
    ),
)


@dataclass(frozen=True, slots=True)
class ProviderTool:
    """A tool that runs at the provider, with every parameter it has."""

    tool: Json
    item: str
    """The type of the item its call makes."""
    include: str
    """What asks for its details: sources, results or outputs."""
    annotation: str
    """The type of what it cites."""
    detail: str
    """Where the details are in the item: a path."""


PROVIDER_TOOLS: Final = (
    ProviderTool(
        {
            "type": "web_search",
            "search_context_size": "high",
            "user_location": {"type": "approximate", "country": "NO", "city": "Oslo", "timezone": "Europe/Oslo"},
            "filters": {"allowed_domains": ["example.com", "example.org"]},
        },
        "web_search_call",
        "web_search_call.action.sources",
        "url_citation",
        "action.sources",
    ),
    ProviderTool(
        {
            "type": "file_search",
            "vector_store_ids": ["vs_1", "vs_2"],
            "filters": {"type": "eq", "key": "region", "value": "north"},
            "max_num_results": 7,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.25},
        },
        "file_search_call",
        "file_search_call.results",
        "file_citation",
        "results",
    ),
    ProviderTool(
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
        "code_interpreter_call",
        "code_interpreter_call.outputs",
        "container_file_citation",
        "outputs",
    ),
)
