"""Profiles: what is publicly known to be different at each provider, as rows.

A profile is chosen by the URL (`/p/groq/openai/v1/chat/completions`) or by a script (`profile=groq`). What a provider
writes differently are quirks (`quirks.py`), what it refuses are rules (`rules.py`). Base URLs and key headers are those
of livekit-plugins-openai 1.8.9 and its sister packages; other sources stand at each row, with the date they are from.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tokenbus_simulator import rules
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
from tokenbus_simulator.rules import Fault, Rule, of_models, sends, sends_other_than
from tokenbus_simulator.wire import object_of


class Profile(NamedTuple):
    """One provider."""

    base_path: str
    """The path of its base URL."""
    seen: str
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


_REASONING: Final = ("o1", "o3", "o4", "gpt-5")
_UNSUPPORTED: Final = "Unsupported parameter: '{param}' is not supported with this model."
_OPENAI_MODELS: Final = "livekit-agents 1.8.9, its table of reasoning models; words recorded in vercel/ai (2026-07)"


def _not_at_reasoning(finds: Fault) -> Fault:
    """For OpenAI's reasoning models. Their `-chat` variants are none, and effort `none` turns reasoning off."""

    def found(request: rules.Request) -> str | None:
        effort = request.body.get("reasoning_effort", object_of(request.body.get("reasoning")).get("effort"))
        return None if effort == "none" else finds(request)

    return of_models(*_REASONING, finds=found, but="-chat")


_FAMILY_RULES: Final = (
    Rule(
        "reasoning models sample as they like",
        _not_at_reasoning(
            sends("top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias")
        ),
        _UNSUPPORTED,
        _OPENAI_MODELS,
        code="unsupported_parameter",
    ),
    Rule(
        "reasoning models have one temperature",
        _not_at_reasoning(sends_other_than("temperature", 1)),
        _UNSUPPORTED,
        _OPENAI_MODELS,
    ),
    Rule(
        "reasoning models give one answer",
        of_models(*_REASONING, finds=sends_other_than("n", 1), but="-chat"),
        _UNSUPPORTED,
        _OPENAI_MODELS,
        code="unsupported_parameter",
    ),
    Rule(
        "reasoning models count their thoughts among the tokens",
        of_models(*_REASONING, finds=sends("max_tokens"), but="-chat"),
        _UNSUPPORTED[:-1] + ". Use 'max_completion_tokens' instead.",
        "https://developers.openai.com/api/reference/resources/chat (2026-08)",
        code="unsupported_parameter",
    ),
)

_GROQ_DOCS: Final = "https://console.groq.com/docs/openai (2026-09)"
_GROQ: Final = Profile(
    "/openai/v1",
    _GROQ_DOCS,
    responses="stateless",
    quirks=("reasoning-field", "whole-calls", "x-groq"),
    rules=(
        Rule(
            "neither probabilities nor biases",
            sends("logprobs", "logit_bias", "top_logprobs"),
            "property '{param}' is unsupported",
            _GROQ_DOCS,
        ),
        Rule("one choice", sends_other_than("n", 1), "'n' : number must be at most 1", _GROQ_DOCS),
        Rule(
            "no names of speakers",
            rules.in_messages("name", roles=("system", "user", "assistant")),
            "'{param}' : property 'name' is unsupported",
            _GROQ_DOCS,
        ),
        Rule(
            "reasoning goes by another name",
            rules.in_messages("reasoning_content", roles=("assistant",)),
            "'{param}' : for 'role:assistant' the following must be satisfied[('{param}' : property "
            "'reasoning_content' is unsupported)]",
            "https://github.com/janhq/jan/issues/8136 (2026-05)",
        ),
    ),
    own=frozenset({"reasoning_format", "include_reasoning", "search_settings", "documents", "citation_options"}),
    unknown="property '{param}' is unsupported",
    unknown_code=None,
    error=bare_error,
)

_DEEPSEEK_DOCS: Final = "https://api-docs.deepseek.com/guides/thinking_mode (2026-09)"
_DEEPSEEK_SHAPE: Final = "Failed to deserialize the JSON body into the target type: {param}: unknown variant "
_DEEPSEEK: Final = Profile(
    "/v1",
    _DEEPSEEK_DOCS,
    also=("",),
    responses="stateless",
    quirks=("usage-on-finish", "cache-tokens"),
    rules=(
        Rule(
            "thoughts come back with the calls they led to",
            rules.thoughts_missing,
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            "https://github.com/earendil-works/pi/issues/3636 (2026-04)",
            code="invalid_request_error",
        ),
        Rule(
            "no call is forced on a thinking model",
            rules.forces_while_thinking,
            "Thinking mode does not support this tool_choice",
            "https://github.com/deepseek-ai/DeepSeek-V3/issues/1376 (2026-08)",
            code="invalid_request_error",
        ),
        Rule(
            "no developer",
            rules.has_role("developer"),
            _DEEPSEEK_SHAPE + "`developer`, expected one of `system`, `user`, `assistant`, `tool`, `latest_reminder`",
            "https://github.com/farion1231/cc-switch/issues/3330 (2026-05)",
            code="invalid_request_error",
        ),
        Rule(
            "no images",
            rules.in_parts("image_url"),
            _DEEPSEEK_SHAPE + "`image_url`, expected `text`",
            "https://github.com/zhukunpenglinyutong/jetbrains-cc-gui/issues/591, for another type (2026-03)",
            code="invalid_request_error",
        ),
        Rule(
            "no schemas",
            rules.asks_for("json_schema"),
            "This response_format type is unavailable now",
            "https://github.com/UKGovernmentBEIS/inspect_ai/issues/4916 (2026-08)",
            code="invalid_request_error",
        ),
    ),
    own=frozenset({"thinking"}),
    ignored=frozenset({"n", "seed", "logit_bias", "parallel_tool_calls", "service_tier", "verbosity", "store"}),
    unknown=None,
    thinking_models=("deepseek-reasoner", "deepseek-v4", "deepseek-flash", "deepseek-pro"),
)

_CEREBRAS_SHAPE: Final = "{param}: property '{param}' is unsupported"
_CEREBRAS: Final = Profile(
    "/v1",
    "https://inference-docs.cerebras.ai/resources/openai (2026-09)",
    quirks=("reasoning-field", "time-info"),
    rules=(
        Rule(
            "no penalties and biases",
            sends("frequency_penalty", "presence_penalty", "logit_bias"),
            _CEREBRAS_SHAPE,
            "https://hexdocs.pm/req_llm/cerebras.html (2026-04); it also has parallel_tool_calls and service_tier",
            code="wrong_api_format",
        ),
        Rule(
            "strict tools or loose ones",
            rules.mixed_strict,
            "Tools with mixed values for 'strict' are not allowed. Please set all tools to 'strict: true' or "
            "'strict: false'",
            "https://github.com/mpfaffenberger/code_puppy/pull/368 (2026-05)",
            code="wrong_api_format",
        ),
        Rule(
            "reasoning goes by another name",
            rules.in_messages("reasoning_content", roles=("assistant",)),
            "{param}.assistant.reasoning_content: property '{param}.assistant.reasoning_content' is unsupported",
            "https://github.com/Kilo-Org/kilocode/issues/10375 (2026-05)",
            code="wrong_api_format",
        ),
    ),
    own=frozenset({"reasoning_format", "disable_reasoning", "clear_thinking"}),
    unknown=_CEREBRAS_SHAPE,
    unknown_code="wrong_api_format",
    error=cerebras_error,
)

_PERPLEXITY: Final = Profile(
    "",
    "https://docs.perplexity.ai/docs/sonar (2026-09)",
    also=("/v1",),
    responses="stateless",
    quirks=("usage-running", "usage-bare", "citations", "done-object", "sparse"),
    rules=(
        Rule(
            "user and assistant take turns",
            rules.not_alternating,
            "After the (optional) system message(s), user and assistant roles should be alternating.",
            "https://github.com/perplexityai/api-discussion/issues/265 (2025-04)",
            type="invalid_message",
        ),
        Rule(
            "the assistant never comes last",
            rules.ends_with_assistant,
            "Last message must have role `user`.",
            "https://github.com/BerriAI/litellm/issues/3918 (2024-05)",
            type="invalid_message",
        ),
    ),
    ignored=frozenset(
        {"stop", "logit_bias", "logprobs", "top_logprobs", "seed", "parallel_tool_calls", "service_tier"}
    ),
    unknown=None,
    error=perplexity_error,
)

_XAI_REASONING: Final = ("grok-3-mini", "grok-4", "grok-code-fast-1")
_XAI: Final = Profile(
    "/v1",
    "https://docs.x.ai/docs/guides/reasoning (2026-09)",
    responses="stateful",
    quirks=("whole-calls", "usage-always", "reasoning-apart", "sparse"),
    rules=(
        Rule(
            "reasoning models take neither penalties nor stops",
            of_models(
                *_XAI_REASONING, finds=sends("presence_penalty", "frequency_penalty", "stop"), but="-non-reasoning"
            ),
            "Argument not supported on this model: {camel}",
            "https://github.com/yym68686/uni-api/issues/105 (2025-04); vercel/ai, xai-chat-model-capabilities.ts",
        ),
        Rule(
            "the model's name says how much it reasons",
            of_models("grok-4-1-fast", "grok-4.1-fast", finds=sends("reasoning_effort")),
            "Model {model} does not support parameter {camel}.",
            "https://github.com/acedergren/opencode-oci-provider/releases/tag/v0.2.3 (2026-02)",
        ),
    ),
    own=frozenset({"search_parameters", "deferred"}),
    unknown=None,
    error=xai_error,
)

_FIREWORKS: Final = Profile(
    "/inference/v1",
    "https://docs.fireworks.ai/tools-sdks/openai-compatibility (2026-09)",
    responses="stateful",
    quirks=("usage-on-finish",),
    own=frozenset(
        {"top_k", "min_p", "repetition_penalty", "prompt_cache_isolation_key", "raw_output", "reasoning_history"}
    ),
    # https://github.com/web-infra-dev/midscene/issues/1322 (2025-10); there the value follows
    unknown="Extra inputs are not permitted, field: '{param}'",
    unknown_code=None,
)

_TOGETHER: Final = Profile(
    "/v1",
    "https://docs.together.ai/docs/openai-api-compatibility (2026-09)",
    quirks=("usage-on-finish", "finish-with-text", "token-ids"),
    own=frozenset({"top_k", "min_p", "repetition_penalty", "safety_model", "echo"}),
    unknown=None,
)

_TELNYX: Final = Profile(
    "/v2/ai",
    "https://developers.telnyx.com/docs/inference/getting-started (2026-09)",
    rules=(
        Rule(
            "tools and a limit of tokens exclude each other",
            rules.both("tools", "max_tokens", "max_completion_tokens"),
            "max_completion_tokens (former max_tokens) and function tools cannot be used in the same request",
            "https://github.com/openclaw/openclaw/pull/116016 (2026-07)",
            code="10015",
        ),
    ),
    own=frozenset({"min_p", "use_beam_search", "best_of", "length_penalty", "early_stopping", "guided_json"}),
    unknown=None,
    error=telnyx_error,
)

_BASETEN: Final = Profile(
    "/v1",
    "https://docs.baseten.co/inference/model-apis/overview (2026-09); no difference known",
    own=frozenset({"top_k", "min_p", "repetition_penalty", "chat_template_args"}),
    unknown=None,
)

_AZURE: Final = Profile(
    "/openai/v1",
    "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (2026)",
    responses="stateful",
    dated_path="/openai",
    key_headers=("api-key", "authorization"),
    quirks=("prompt-filter",),
    rules=_FAMILY_RULES,
    error=azure_error,
)

OPENAI: Final = "openai"

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        OPENAI: Profile(
            "/v1",
            "https://developers.openai.com/api/reference (2026-08)",
            responses="stateful",
            rules=_FAMILY_RULES,
        ),
        "azure": _AZURE,
        "baseten": _BASETEN,
        "cerebras": _CEREBRAS,
        "deepseek": _DEEPSEEK,
        "fireworks": _FIREWORKS,
        "groq": _GROQ,
        "perplexity": _PERPLEXITY,
        "telnyx": _TELNYX,
        "together": _TOGETHER,
        "xai": _XAI,
    }
)
