"""The body of `POST /v1/chat/completions`, read as strictly as OpenAI reads it: unknown parameters are refused.

Source: openai 3.54 `CompletionCreateParams`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_simulator.asked import Asked, Speaker, Tool, read_turn
from tokenbus_simulator.wire import JsonObject


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Part(_Open):
    """A content part; only its text matters here."""

    text: str = ""


class Message(_Open):
    """A message of any role."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class Function(_Open):
    name: str
    parameters: JsonObject | None = None


class ToolEntry(_Open):
    type: str
    function: Function | None = None


class NamedTool(_Open):
    """A tool choice that is an object."""

    type: str
    function: Function | None = None


class StreamOptions(_Open):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(BaseModel):
    """All parameters of the API; those without a closer type are ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool = "auto"
    parallel_tool_calls: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: JsonObject | None = None
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    service_tier: str | None = None
    store: bool | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=64)] | None = None
    user: str | None = None
    audio: object = None
    function_call: object = None
    functions: object = None
    modalities: object = None
    moderation: object = None
    prediction: object = None
    prompt_cache_options: object = None
    prompt_cache_retention: object = None
    web_search_options: object = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def asked(self) -> Asked:
        """What this request asks of the model."""
        said = list(self._said())
        tool_choice = self.tool_choice
        if isinstance(tool_choice, NamedTool):
            tool_choice = tool_choice.function.name if tool_choice.function else "auto"
        return Asked(
            stream=bool(self.stream),
            turn=read_turn(said),
            tools=tuple(
                Tool(tool.function.name, tool.function.parameters or {}) for tool in self.tools or () if tool.function
            ),
            tool_choice=tool_choice,
            parallel_tool_calls=self.parallel_tool_calls is not False,
            choices=self.n or 1,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            logprobs=bool(self.logprobs),
            top_logprobs=self.top_logprobs or 0,
            obfuscation=self.stream_options is not None and self.stream_options.include_obfuscation,
            input_characters=sum(len(text) for _, text in said),
        )

    def _said(self) -> Iterator[tuple[Speaker, str]]:
        for message in self.messages:
            content = message.content
            text = content if isinstance(content, str) else "\n".join(part.text for part in content or () if part.text)
            match message.role:
                case "user":
                    yield "user", text
                case "tool" | "function":
                    yield "tool", text
                case _:
                    yield "other", text
