"""The parameters that the product promises its users, as rows.

Source: LiveKit's documentation page on OpenAI models, table of Chat Completions parameters (2026-08-22); their names in
the Responses API: openai 3.54.
"""

from dataclasses import dataclass
from typing import Final

from tests.conformance.product_tables import Json

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
