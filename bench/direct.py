"""The upstream called directly, by the cheapest client there is: what everything else is compared with."""

import time
from collections.abc import AsyncGenerator

import aiohttp
import orjson

from tokenbus_translate import SSEDecoder

DELTA = b"response.output_text.delta"


class DirectUpstream:
    """Calls `base_url` with aiohttp and reads the bytes."""

    def __init__(self, session: aiohttp.ClientSession, *, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/responses"

    async def first_token_s(self, model: str) -> float:
        """Seconds from the call to the first bytes that hold a text delta; the answer is read to its end."""
        started = time.perf_counter()
        first: float | None = None
        async for chunk in self._chunks(model):
            if first is None and DELTA in chunk:
                first = time.perf_counter() - started
        if first is None:
            raise RuntimeError(f"{model} sent no text")
        return first

    async def deltas(self, model: str) -> AsyncGenerator[tuple[int, str]]:
        """Each text delta with the time at which it was read, `time.monotonic_ns()`."""
        decoder = SSEDecoder()
        async for chunk in self._chunks(model):
            now = time.monotonic_ns()
            for payload in decoder.feed(chunk):
                event = orjson.loads(payload)
                if event["type"] == DELTA.decode():
                    yield now, event["delta"]

    async def _chunks(self, model: str) -> AsyncGenerator[bytes]:
        body = {"model": model, "input": "x", "stream": True}
        async with self._session.post(self._url, json=body, headers={"Authorization": "Bearer bench"}) as answer:
            answer.raise_for_status()
            async for chunk in answer.content.iter_any():
                yield chunk
