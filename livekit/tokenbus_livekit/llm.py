"""The `LLM` that a LiveKit agent is given, and its stream.

Rules:

1. One `chat()` is one request on the bus, and each of LiveKit's retries is a new one with a new id. Leaving a stream
   early, as an interrupted agent does, cancels its request by a bus message.
2. `conn_options.timeout` is what it is for LiveKit's other clients: the longest silence, before the first event and
   between two. FallbackAdapter's `attempt_timeout` arrives in it.
3. LiveKit's own span of the attempt is the parent of what the services do: the client takes it from the context.

Source: livekit-agents 1.8.9, `llm/llm.py`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Never, cast

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import is_given

from tokenbus import Client
from tokenbus.client import DEFAULT_TIMEOUT_S
from tokenbus_livekit.chunks import AnswerChunks
from tokenbus_livekit.errors import cancelled, livekit_errors
from tokenbus_schemas import PriorityClass

PROVIDER: Final = "tokenbus"


class LLM(llm.LLM[Never]):
    """Answers over `client`, which must stay open as long as the agent talks.

    `model` is a model ID of the catalog; `params` are parameters of every request, named as in
    `tokenbus_schemas.ChatRequest` (`temperature`, `reasoning`, `tokenbus`, …); those of a `chat()` call are stronger.
    `timeout_s` is a request's whole time, queueing included.
    """

    def __init__(
        self,
        model: str,
        *,
        client: Client,
        priority_class: PriorityClass = "standard",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        params: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.client = client
        self.priority_class: PriorityClass = priority_class
        self.timeout_s = timeout_s
        self._model = model
        self._params = dict(params or {})

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return PROVIDER

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Ask. `extra_kwargs` are parameters of the request; reading raises LiveKit's `APIError`s."""
        params = {**self._params, **(extra_kwargs if is_given(extra_kwargs) else {})}
        if is_given(parallel_tool_calls):
            params["parallel_tool_calls"] = parallel_tool_calls
        if is_given(tool_choice):
            params["tool_choice"] = _choice(tool_choice)
        return BusStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options, params=params)


class BusStream(llm.LLMStream):
    """One answer, as LiveKit reads it."""

    def __init__(
        self,
        owner: LLM,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        params: Mapping[str, object],
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - livekit leaves its LLM's parameter open
            owner, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options
        )
        self._owner = owner
        self._retry_on_chunk_sent = False  # a second attempt would say the same again, in other words
        self._request = _request(owner.model, chat_ctx=chat_ctx, tools=tools, params=params)

    async def _run(self) -> None:
        owner, silence_s = self._owner, self._conn_options.timeout
        stream = owner.client.stream(self._request, priority_class=owner.priority_class, timeout_s=owner.timeout_s)
        chunks = AnswerChunks(stream.response_id)
        with livekit_errors(stream.response_id):
            async with asyncio.timeout(silence_s) as silence, stream:
                while lines := await stream.batch():
                    silence.reschedule(asyncio.get_running_loop().time() + silence_s)
                    for chunk in chunks.feed(lines):
                        self._event_ch.send_nowait(chunk)
                response = await stream.response()
                if response.status == "cancelled":
                    raise cancelled(response.id)
                for chunk in chunks.finish(response):
                    self._event_ch.send_nowait(chunk)


def _request(
    model: str, *, chat_ctx: llm.ChatContext, tools: list[llm.Tool], params: Mapping[str, object]
) -> dict[str, object]:
    formatted = cast("tuple[list[object], None]", chat_ctx.to_provider_format("openai.responses"))  # pyright: ignore[reportUnknownMemberType] - half-typed
    offered = llm.ToolContext(tools).parse_function_tools("openai.responses", provider_tool_type=llm.ProviderTool)
    request: dict[str, object] = {**params, "model": model, "input": formatted[0]}
    if offered:
        request["tools"] = offered
    else:
        request.pop("tool_choice", None)  # LiveKit sends its choice without tools too; providers refuse that
    return request


def _choice(choice: llm.ToolChoice) -> object:
    return choice if isinstance(choice, str) else {"type": "function", "name": choice["function"]["name"]}
