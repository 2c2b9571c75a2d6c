"""The body of `POST /v1/responses`, read as strictly as OpenAI reads it: unknown parameters are refused.

Source: openai 3.54 `ResponseCreateParams`, plus the two penalties of Open Responses 2026-04-24.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_simulator.asked import Asked, read_turn
from tokenbus_simulator.formats import responses_schema
from tokenbus_simulator.responses_input import attachments, said
from tokenbus_simulator.tool_entries import allowed_names, provider_tools, responses_choice, responses_tools
from tokenbus_simulator.wire import JsonObject


class StreamOptions(BaseModel):
    """Options of a stream; those without a meaning here are ignored."""

    include_obfuscation: bool = False


class ResponsesBody(BaseModel):
    """All parameters of the API; those without a closer type are echoed or ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: str | list[JsonObject] = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    instructions: str | list[JsonObject] | None = None
    tools: list[JsonObject] = Field(default=[])
    tool_choice: Literal["auto", "none", "required"] | JsonObject = "auto"
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    text: JsonObject | None = None
    reasoning: JsonObject | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    previous_response_id: str | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: str | None = None
    store: bool | None = None
    background: bool | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=64)] | None = None
    user: str | None = None
    access_programs: object = None
    background_options: object = None
    context_management: object = None
    conversation: object = None
    image: object = None
    moderation: object = None
    prompt: object = None
    prompt_cache_options: object = None
    prompt_cache_retention: object = None

    def items(self) -> Sequence[JsonObject]:
        """The input as items."""
        return [{"role": "user", "content": self.input}] if isinstance(self.input, str) else self.input

    def asked(self, conversation: Sequence[JsonObject]) -> Asked:
        """What this request asks of the model, in a conversation that ends with its items. Raises `RefusedError`."""
        told = list(said(conversation))
        texts = [text for _, text in told]
        if isinstance(self.instructions, str):
            texts.append(self.instructions)
        functions = responses_tools(self.tools)
        allowed = allowed_names(self.tool_choice)
        include = frozenset(self.include or ())
        return Asked(
            stream=bool(self.stream),
            turn=read_turn(told, attachments=attachments(conversation)),
            tools=tuple(tool for tool in functions if allowed is None or tool.name in allowed),
            provider_tools=provider_tools(self.tools),
            tool_choice=responses_choice(self.tool_choice, tools=self.tools),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            max_tool_calls=self.max_tool_calls,
            max_tokens=self.max_output_tokens,
            logprobs="message.output_text.logprobs" in include,
            top_logprobs=self.top_logprobs or 0,
            include=include,
            schema=responses_schema(self.text, said=texts),
            obfuscation=self.stream_options is not None and self.stream_options.include_obfuscation,
            input_characters=sum(map(len, texts)),
        )

    def echo(self) -> JsonObject:
        """What every response resource repeats of its request, with OpenAI's defaults for what is absent."""
        return {
            "background": bool(self.background),
            "frequency_penalty": self.frequency_penalty or 0.0,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "presence_penalty": self.presence_penalty or 0.0,
            "previous_response_id": self.previous_response_id,
            "prompt_cache_key": self.prompt_cache_key,
            "reasoning": {"effort": None, "summary": None, **(self.reasoning or {})},
            "safety_identifier": self.safety_identifier,
            "service_tier": self.service_tier if self.service_tier not in (None, "auto") else "default",
            "store": self.store is not False,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "text": {"format": {"type": "text"}, "verbosity": "medium", **(self.text or {})},
            "tool_choice": self.tool_choice,
            "tools": [_echoed(tool) for tool in self.tools],
            "top_logprobs": self.top_logprobs or 0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "truncation": self.truncation or "disabled",
            "user": self.user,
        }


def _echoed(tool: JsonObject) -> JsonObject:
    if tool.get("type") != "function":
        return tool
    # OpenAI writes every key of a function tool, and takes absent `strict` for true.
    return {"description": None, "parameters": None, "strict": True, **tool}
