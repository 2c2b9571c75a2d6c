"""What a provider is known to refuse is refused by name before it is called: one request for each row of the facts."""

from typing import Any, NamedTuple

import pytest

from tests.conformance.bench import Bench
from tests.conformance.parameter_table import TOOL
from tests.conformance.product_tables import Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRICT: Json = {"type": "function", "function": {"name": "get_place", "strict": True, "parameters": {"type": "object"}}}
IMAGE: Json = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
SCHEMA: Json = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


class Refused(NamedTuple):
    """A request that one provider does not take."""

    model: str
    asked: Json
    param: str


REFUSED = (
    Refused("groq/llama-3.3-70b-versatile", {"logprobs": True}, "logprobs"),
    Refused("groq/llama-3.3-70b-versatile", {"logit_bias": {"1": 5}}, "logit_bias"),
    Refused("groq/llama-3.3-70b-versatile", {"n": 2}, "n"),
    Refused(
        "groq/llama-3.3-70b-versatile",
        {"messages": [{"role": "user", "name": "Ada", "content": "Hi."}]},
        "messages[0].name",
    ),
    Refused("cerebras/gpt-oss-120b", {"presence_penalty": 0.5}, "presence_penalty"),
    Refused("cerebras/gpt-oss-120b", {"frequency_penalty": 0.5}, "frequency_penalty"),
    Refused("cerebras/gpt-oss-120b", {"logit_bias": {"1": 5}}, "logit_bias"),
    Refused("cerebras/gpt-oss-120b", {"tools": [TOOL, STRICT]}, "tools[1]"),
    Refused("deepseek/deepseek-reasoner", {"temperature": 0.5}, "temperature"),
    Refused("deepseek/deepseek-reasoner", {"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
    Refused("deepseek/deepseek-chat", {"messages": [IMAGE]}, "messages[0].content[0]"),
    Refused("deepseek/deepseek-chat", {"response_format": SCHEMA}, "response_format"),
    Refused("deepseek/deepseek-chat", {"seed": 7}, "seed"),
    Refused("perplexity/sonar-pro", {"stop": "END"}, "stop"),
    Refused("perplexity/sonar-pro", {"logprobs": True}, "logprobs"),
    Refused("telnyx/meta-llama/Meta-Llama-3.1-70B-Instruct", {"tools": [TOOL], "max_tokens": 50}, "max_tokens"),
    Refused("xai/grok-4", {"presence_penalty": 0.5}, "presence_penalty"),
    Refused("xai/grok-4", {"stop": "END"}, "stop"),
    Refused("xai/grok-4-1-fast-reasoning", {"reasoning_effort": "low"}, "reasoning_effort"),
    Refused("openai/gpt-4.1", {"reasoning_effort": "low"}, "reasoning_effort"),
    Refused("openai/gpt-5.1-chat-latest", {"reasoning_effort": "high"}, "reasoning_effort"),
    Refused("openai/gpt-5.2", {"reasoning_effort": "minimal"}, "reasoning_effort"),
    Refused("openai/gpt-5", {"reasoning_effort": "xhigh"}, "reasoning_effort"),
    Refused("openai/gpt-oss-120b", {"reasoning_effort": "none"}, "reasoning_effort"),
)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row.model}-{row.param}")
async def test_what_the_provider_refuses_does_not_reach_it(bench: Bench, row: Refused) -> None:
    answered = await bench.ask(row.model, **row.asked)

    assert answered.error["type"] in ("unsupported_parameter", "unsupported_value")
    assert answered.error["param"] == row.param
    assert row.model in answered.error["message"]
    assert answered.exchanges == []


TAKEN: tuple[tuple[str, Json], ...] = (
    ("groq/llama-3.3-70b-versatile", {"n": 1, "seed": 7, "temperature": 0.5}),
    ("cerebras/gpt-oss-120b", {"tools": [TOOL], "parallel_tool_calls": True}),
    ("deepseek/deepseek-chat", {"temperature": 0.5, "tools": [TOOL], "tool_choice": "required"}),
    ("telnyx/meta-llama/Meta-Llama-3.1-70B-Instruct", {"max_tokens": 50}),
    ("xai/grok-4-1-fast-non-reasoning", {"presence_penalty": 0.5, "stop": "END"}),
    ("openai/gpt-5.2", {"temperature": 0.2, "reasoning_effort": "none"}),
    ("openai/gpt-5-mini", {"temperature": 1, "top_p": 1, "n": 1, "frequency_penalty": 0}),
)


@pytest.mark.parametrize(("model", "asked"), TAKEN, ids=[f"{model}-{next(iter(asked))}" for model, asked in TAKEN])
async def test_what_the_provider_takes_is_answered(bench: Bench, model: str, asked: dict[str, Any]) -> None:
    assert (await bench.ask(model, **asked)).completed().output
