"""What each provider refuses, as rows: see `rules.py` for what they are made of, `profiles.py` for who has them.

Each row has its source and the date that is from; words in `{}` are filled in by the rule.
"""

from typing import Final

from tokenbus_simulator import rules
from tokenbus_simulator.rules import Fault, Rule, of_models, sends, sends_other_than
from tokenbus_simulator.wire import object_of

_REASONING: Final = ("o1", "o3", "o4", "gpt-5")
_THOUGHTLESS: Final = ("gpt-5.1", "gpt-5.2", "gpt-5.4")  # their effort is `none` unless it is set
_UNSUPPORTED: Final = "Unsupported parameter: '{param}' is not supported with this model."
_FAMILIES: Final = "livekit-agents 1.8.9, its table of reasoning models; words recorded in vercel/ai (2026-07)"
_GPT_5: Final = (
    "https://developers.openai.com/api/docs/guides/latest-model (2026-08); words recorded in vercel/ai (2026-07)"
)


def _of_reasoning(finds: Fault) -> Fault:
    """For OpenAI's reasoning models, whose `-chat` variants are none."""
    return of_models(*_REASONING, finds=finds, but="-chat")


def _while_reasoning(finds: Fault) -> Fault:
    """The same, unless their effort is `none`."""

    def found(request: rules.Request) -> str | None:
        efforts = (request.body.get("reasoning_effort"), object_of(request.body.get("reasoning")).get("effort"))
        name = request.model.rpartition("/")[2]
        thoughtless = efforts == (None, None) and name.startswith(_THOUGHTLESS)
        return None if "none" in efforts or thoughtless else finds(request)

    return _of_reasoning(found)


OPENAI_RULES: Final = (
    Rule(
        "reasoning models take no penalties and biases",
        _of_reasoning(sends("presence_penalty", "frequency_penalty", "logit_bias")),
        _UNSUPPORTED,
        _FAMILIES,
        code="unsupported_parameter",
    ),
    Rule(
        "reasoning models give one answer",
        _of_reasoning(sends_other_than("n", 1)),
        _UNSUPPORTED,
        _FAMILIES,
        code="unsupported_parameter",
    ),
    Rule(
        "who reasons samples as it likes, and does not say how likely it was",
        _while_reasoning(sends("top_p", "logprobs", "top_logprobs")),
        _UNSUPPORTED,
        _GPT_5,
        code="unsupported_parameter",
    ),
    Rule(
        "who reasons has one temperature",
        _while_reasoning(sends_other_than("temperature", 1)),
        _UNSUPPORTED,
        _GPT_5,
    ),
    Rule(
        "they take no stop sequences",
        of_models("o3", "o4-mini", "gpt-5", finds=sends("stop"), but="gpt-5-chat"),
        _UNSUPPORTED,
        "https://github.com/huggingface/smolagents/issues/1893 (2025-12)",
        code="unsupported_parameter",
    ),
    Rule(
        "reasoning models count their thoughts among the tokens",
        _of_reasoning(sends("max_tokens")),
        _UNSUPPORTED + " Use 'max_completion_tokens' instead.",
        "https://developers.openai.com/api/reference/resources/chat (2026-08)",
        code="unsupported_parameter",
    ),
)

_GROQ_DOCS: Final = "https://console.groq.com/docs/openai (2026-09)"
GROQ_RULES: Final = (
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
        "'{param}' : for 'role:assistant' the following must be satisfied[('{param}' : property 'reasoning_content' is "
        "unsupported)]",
        "https://github.com/janhq/jan/issues/8136 (2026-05)",
    ),
)

_DEEPSEEK_SHAPE: Final = "Failed to deserialize the JSON body into the target type: {param}: unknown variant "
DEEPSEEK_RULES: Final = (
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
        "https://github.com/zhukunpenglinyutong/jetbrains-cc-gui/issues/591, there of another type (2026-03)",
        code="invalid_request_error",
    ),
    Rule(
        "no schemas",
        rules.asks_for("json_schema"),
        "This response_format type is unavailable now",
        "https://github.com/UKGovernmentBEIS/inspect_ai/issues/4916 (2026-08)",
        code="invalid_request_error",
    ),
)

UNKNOWN_TO_CEREBRAS: Final = "{param}: property '{param}' is unsupported"
CEREBRAS_RULES: Final = (
    Rule(
        "no penalties and biases",
        sends("frequency_penalty", "presence_penalty", "logit_bias"),
        UNKNOWN_TO_CEREBRAS,
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
)

PERPLEXITY_RULES: Final = (
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
)

XAI_RULES: Final = (
    Rule(
        "reasoning models take neither penalties nor stops",
        of_models(
            *("grok-3-mini", "grok-4", "grok-code-fast-1"),
            finds=sends("presence_penalty", "frequency_penalty", "stop"),
            but="-non-reasoning",
        ),
        "Argument not supported on this model: {camel}",
        "https://github.com/yym68686/uni-api/issues/105 (2025-04); vercel/ai, xai-chat-model-capabilities.ts (2026)",
    ),
    Rule(
        "the model's name says how much it reasons",
        of_models("grok-4-1-fast", "grok-4.1-fast", finds=sends("reasoning_effort")),
        "Model {model} does not support parameter {camel}.",
        "https://github.com/acedergren/opencode-oci-provider/releases/tag/v0.2.3 (2026-02)",
    ),
)

TELNYX_RULES: Final = (
    Rule(
        "tools and a limit of tokens exclude each other",
        rules.both("tools", "max_tokens", "max_completion_tokens"),
        "max_completion_tokens (former max_tokens) and function tools cannot be used in the same request",
        "https://github.com/openclaw/openclaw/pull/116016 (2026-07)",
        code="10015",
    ),
)
