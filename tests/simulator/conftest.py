"""A simulator on a free port, the real OpenAI client in front of it, and a raw HTTP client beside it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from openai import AsyncOpenAI

from tokenbus_simulator import Simulator

JsonObject = dict[str, Any]


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with Simulator(seed="tests") as running:
        yield running


@pytest.fixture
async def openai(simulator: Simulator) -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator.base_url, api_key="sk-secret", max_retries=0) as client:
        yield client


@pytest.fixture
async def http(simulator: Simulator) -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=simulator.base_url + "/") as session:
        yield session


@pytest.fixture
def ask_provider(simulator: Simulator) -> Callable[..., Awaitable[tuple[int, bytes]]]:
    """Sends a chat request to a provider's own path: status and body. A key is sent unless `headers` say otherwise."""

    async def ask(profile: str, request: object, *, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        key = {"authorization": "Bearer sk-secret"} if headers is None else headers
        url = f"{simulator.base_urls[profile]}/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=request, headers=key) as answer:
            return answer.status, await answer.read()

    return ask


@pytest.fixture
def parse_sse() -> Callable[[bytes], list[JsonObject]]:
    """Turns the bytes of a stream into its JSON events; what is no JSON object, such as `[DONE]`, is left out."""

    def parse(body: bytes) -> list[JsonObject]:
        data = [line[6:] for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: {")]
        return [orjson.loads(json) for json in data]

    return parse
