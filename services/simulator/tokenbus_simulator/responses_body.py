"""The body of `POST /v1/responses`, read as strictly as OpenAI reads it: unknown parameters are refused.

Source: openai 3.54 `ResponseCreateParams`, plus the two penalties of Open Responses 2026-04-24.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_simulator.asked import Asked, Speaker, Tool, read_turn
from tokenbus_simulator.wire import JsonObject, is_list


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Part(_Open):
    """A content part; only its text matters here."""

    text: str = ""


class Item(_Open):
    """An input item of any type."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    output: str | list[Part] | None = None


class ToolEntry(_Open):
    """A function tool or a provider tool."""

    type: str
    name: str = ""
    parameters: JsonObject | None = None


class NamedTool(_Open):
    """A tool choice that is an object."""

    type: str
    name: str = ""
    mode: Literal["auto", "required"] = "auto"


class StreamOptions(_Open):
    include_obfuscation: bool = False


class ResponsesBody(BaseModel):
    """All parameters of the API; those without a closer type are echoed or ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: str | list[Item] = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    instructions: str | list[Item] | None = None
    tools: list[ToolEntry] = Field(default=[])
    tool_choice: Literal["auto", "none", "required"] | NamedTool = "auto"
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

    def asked(self) -> Asked:
        """What this request asks of the model."""
        said = list(self._said())
        tool_choice = self.tool_choice
        if isinstance(tool_choice, NamedTool):
            tool_choice = tool_choice.name or tool_choice.mode
        return Asked(
            stream=bool(self.stream),
            turn=read_turn(said),
            tools=tuple(Tool(tool.name, tool.parameters or {}) for tool in self.tools if tool.type == "function"),
            tool_choice=tool_choice,
            parallel_tool_calls=self.parallel_tool_calls is not False,
            max_tokens=self.max_output_tokens,
            logprobs="message.output_text.logprobs" in (self.include or ()),
            top_logprobs=self.top_logprobs or 0,
            obfuscation=self.stream_options is not None and self.stream_options.include_obfuscation,
            input_characters=sum(len(text) for _, text in said),
        )

    def echo(self) -> JsonObject:
        """What every response resource repeats of its request, with OpenAI's defaults for what is absent."""
        return {
            "background": bool(self.background),
            "frequency_penalty": self.frequency_penalty or 0.0,
            "instructions": _dumped(self.instructions),
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
            "tool_choice": _dumped(self.tool_choice),
            "tools": [_echoed(tool) for tool in self.tools],
            "top_logprobs": self.top_logprobs or 0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "truncation": self.truncation or "disabled",
            "user": self.user,
        }

    def _said(self) -> Iterator[tuple[Speaker, str]]:
        if self.instructions:
            yield "other", _text(self.instructions) if isinstance(self.instructions, str) else ""
        if isinstance(self.input, str):
            yield "user", self.input
            return
        for item in self.input:
            if item.type == "message":
                yield "user" if item.role == "user" else "other", _text(item.content)
            elif item.type == "function_call_output":
                yield "tool", _text(item.output)
            else:
                yield "other", ""


def _text(content: str | list[Part] | None) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content or () if part.text)


def _dumped(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return [_dumped(entry) for entry in value] if is_list(value) else value


def _echoed(tool: ToolEntry) -> JsonObject:
    written = tool.model_dump(mode="json", exclude_unset=True)
    if tool.type != "function":
        return written
    # OpenAI writes every key of a function tool, and takes absent `strict` for true.
    return {"description": None, "parameters": None, "strict": True, **written}
