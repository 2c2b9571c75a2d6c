"""The body of `POST /v1/chat/completions`, read as strictly as OpenAI reads it: unknown parameters are refused.

Source: openai 3.54 `CompletionCreateParams`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_simulator.asked import Asked, RefusedError, read_turn
from tokenbus_simulator.chat_messages import attachments, said
from tokenbus_simulator.formats import chat_schema
from tokenbus_simulator.tool_entries import chat_choice, chat_tools
from tokenbus_simulator.wire import JsonObject


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(BaseModel):
    """All parameters of the API; those without a closer type are ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    messages: Annotated[list[JsonObject], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[JsonObject], Field(min_length=1)] | None = None
    tool_choice: Literal["auto", "none", "required"] | JsonObject | None = None
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
        """What this request asks of the model. Raises `RefusedError`."""
        told = list(said(self.messages))
        texts = [text for _, text in told]
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, name) is not None and not self.tools:
                message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise RefusedError(message, param=name)
        return Asked(
            stream=bool(self.stream),
            turn=read_turn(told, attachments=attachments(self.messages)),
            tools=chat_tools(self.tools or ()),
            tool_choice=chat_choice(self.tool_choice or "auto", tools=self.tools or ()),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            choices=self.n or 1,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            logprobs=bool(self.logprobs),
            top_logprobs=self.top_logprobs or 0,
            schema=chat_schema(self.response_format, said=texts),
            obfuscation=self.stream_options is not None and self.stream_options.include_obfuscation,
            input_characters=sum(map(len, texts)),
        )
