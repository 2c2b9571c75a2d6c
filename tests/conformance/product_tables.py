"""What the product promises its users, as rows: every row has a test in this folder that looks at the upstream's side.

Sources: LiveKit's documentation page on OpenAI models (2026-08-22); livekit-agents 1.8.9 and livekit-plugins-openai 1.8.9
for addresses and key variables; OpenAI's reference of the Responses API (2026-08-21) for provider tools.
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


TOOL: Final[Json] = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
_TOOLS: Final[Json] = {"tools": [TOOL]}
LOGPROBS: Final = "message.output_text.logprobs"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of Chat Completions; both spellings mean the same."""

    name: str
    """As errors name it in the chat spelling."""
    said: Json
    """In Chat's words, with what it needs beside it."""
    chat: Json
    """What reaches a chat upstream of OpenAI's."""
    responses: Json | None
    """What reaches a Responses upstream; None: that API does not have it, and refuses by name."""
    said_in_responses: Json | None = None
    """In Responses' words, where they differ."""
    not_reasoning: bool = False
    """Reasoning models do not take it."""
    reasoning_only: bool = False
    """Only reasoning models take it."""
    wrong: tuple[Json, ...] = ()
    """Values of another type or out of range."""
    wrong_at: str | None = None
    """What the errors name then, if not `name`."""

    @property
    def model(self) -> str:
        return "openai/gpt-5-mini" if self.reasoning_only else "openai/gpt-4.1-mini"


def _number(name: str, value: float, *, wrong: tuple[object, ...], chat_only: bool = False) -> Parameter:
    """A sampling parameter that both APIs spell alike, if both have it."""
    said = {name: value}
    return Parameter(
        name, said, said, None if chat_only else said, not_reasoning=True, wrong=tuple({name: bad} for bad in wrong)
    )


def _limit(name: str) -> Parameter:
    """One of Chat's two names for the limit of tokens."""
    return Parameter(
        name,
        {name: 64},
        {"max_completion_tokens": 64},
        {"max_output_tokens": 64},
        said_in_responses={"max_output_tokens": 64},
        wrong=({name: 0}, {name: 1.5}, {name: "64"}),
    )


PARAMETERS: Final = (
    _number("temperature", 0.3, wrong=(-0.1, 2.1, "warm", True)),
    _number("top_p", 0.4, wrong=(-0.1, 1.1, "most")),
    _limit("max_tokens"),
    _limit("max_completion_tokens"),
    Parameter(
        "reasoning_effort",
        {"reasoning_effort": "low"},
        {"reasoning_effort": "low"},
        {"reasoning": {"effort": "low"}},
        said_in_responses={"reasoning": {"effort": "low"}},
        reasoning_only=True,
        wrong=({"reasoning_effort": "utmost"}, {"reasoning_effort": 3}),
    ),
    _number("frequency_penalty", 0.5, wrong=(-2.1, 2.1, "some"), chat_only=True),
    _number("presence_penalty", -0.5, wrong=(-2.1, 2.1, "some"), chat_only=True),
    Parameter("seed", {"seed": 7}, {"seed": 7}, None, wrong=({"seed": 1.5}, {"seed": "x"})),
    Parameter(
        "stop",
        {"stop": ["END", "STOP"]},
        {"stop": ["END", "STOP"]},
        None,
        wrong=({"stop": ["1", "2", "3", "4", "5"]}, {"stop": 4}, {"stop": []}),
    ),
    Parameter("n", {"n": 2}, {"n": 2}, None, not_reasoning=True, wrong=({"n": 0}, {"n": 1.5}, {"n": "2"})),
    Parameter(
        "logprobs",
        {"logprobs": True},
        {"logprobs": True},
        {"include": [LOGPROBS]},
        said_in_responses={"include": [LOGPROBS]},
        not_reasoning=True,
        wrong=({"logprobs": 1}, {"logprobs": "yes"}),
    ),
    Parameter(
        "top_logprobs",
        {"logprobs": True, "top_logprobs": 3},
        {"logprobs": True, "top_logprobs": 3},
        {"include": [LOGPROBS], "top_logprobs": 3},
        said_in_responses={"include": [LOGPROBS], "top_logprobs": 3},
        not_reasoning=True,
        wrong=(
            {"logprobs": True, "top_logprobs": 21},
            {"logprobs": True, "top_logprobs": -1},
            {"top_logprobs": 3},
            {"logprobs": True, "top_logprobs": "3"},
        ),
    ),
    Parameter(
        "logit_bias",
        {"logit_bias": {"50256": -100}},
        {"logit_bias": {"50256": -100}},
        None,
        not_reasoning=True,
        wrong=({"logit_bias": {"50256": 101}}, {"logit_bias": {"50256": "never"}}, {"logit_bias": [50256]}),
    ),
    Parameter(
        "parallel_tool_calls",
        {**_TOOLS, "parallel_tool_calls": False},
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": False},
        wrong=({**_TOOLS, "parallel_tool_calls": "no"},),
    ),
    Parameter(
        "tool_choice",
        {**_TOOLS, "tool_choice": "required"},
        {"tool_choice": "required"},
        {"tool_choice": "required"},
        wrong=({**_TOOLS, "tool_choice": "perhaps"}, {"tool_choice": "required"}, {**_TOOLS, "tool_choice": 1}),
    ),
    Parameter(
        "tool_choice",
        {**_TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        {"tool_choice": {"type": "function", "name": "get_time"}},
        said_in_responses={**_TOOLS, "tool_choice": {"type": "function", "name": "get_time"}},
        wrong=({**_TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_date"}}},),
        wrong_at="tool_choice.function.name",
    ),
)


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
