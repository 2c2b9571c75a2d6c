"""One upstream call: the request sent, the answer's bytes as they come."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

import httpx2
from openai import AsyncAPIResponse, AsyncOpenAI, OpenAIError

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.upstreams.failures import mapped
from tokenbus_schemas import Api

_PATHS: Final[Mapping[Api, str]] = MappingProxyType(
    {"responses": "/responses", "chat_completions": "/chat/completions"}
)
# The SDK's own switch for handing out the response unread (openai 3.54, `_constants.py:RAW_RESPONSE_HEADER`).
_RAW: Final = {"X-Stainless-Raw-Response": "stream", "Accept": "text/event-stream, application/json"}


@dataclass(frozen=True, slots=True)
class UpstreamStream:
    """An open answer of status 200."""

    response: AsyncAPIResponse[bytes]

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is SSE; some providers answer plain JSON although a stream was asked for."""
        return self.response.headers.get("content-type", "").startswith("text/event-stream")

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it arrives. Raises `UpstreamError` (`upstream_cut`) when the connection breaks."""
        try:
            async with aclosing(cast("AsyncGenerator[bytes]", self.response.iter_bytes())) as body:
                async for chunk in body:
                    yield chunk
        except (OpenAIError, httpx2.HTTPError, httpx2.StreamError) as error:
            raise UpstreamError(mapped(error)) from error


@asynccontextmanager
async def open_stream(client: AsyncOpenAI, *, api: Api, body: Mapping[str, Any]) -> AsyncGenerator[UpstreamStream]:
    """Send `body` and wait for the answer's head; leaving closes the connection, which stops the provider.

    Raises `UpstreamError` for anything but a 2xx answer.
    """
    try:
        response = await client.post(
            _PATHS[api], cast_to=cast("type[AsyncAPIResponse[bytes]]", object), body=body, options={"headers": _RAW}
        )
    except (OpenAIError, httpx2.HTTPError) as error:
        raise UpstreamError(mapped(error)) from error
    try:
        yield UpstreamStream(response)
    finally:
        await response.close()
