"""Keys: which header they come in, and what is demanded of them; and Azure's addresses, which go with its header."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import openai as sdk
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from tokenbus_simulator import Script, Simulator, fingerprint
from tokenbus_simulator.profiles import PROFILES

Ask = Callable[..., Awaitable[tuple[int, bytes]]]

USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_provider_wants_a_key_in_its_own_header(ask_provider: Ask, profile: str) -> None:
    request = {"model": "sim", "messages": [USER]}
    for headers, expected in (
        ({}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer x"}, 200),
        ({"api-key": "x"}, 200 if profile == "azure" else 401),
    ):
        status, _ = await ask_provider(profile, request, headers=headers)
        assert status == expected


@pytest.mark.parametrize("demanded", ["sk-right", fingerprint("sk-right"), fingerprint("Bearer sk-right")])
async def test_a_script_can_demand_one_key(simulator: Simulator, ask_provider: Ask, demanded: str) -> None:
    for key, expected in (("sk-right", 200), ("sk-wrong", 401)):
        simulator.then(Script(key=demanded))
        status, body = await ask_provider(
            "openai", {"model": "sim", "messages": [USER]}, headers={"authorization": f"Bearer {key}"}
        )
        assert status == expected
        assert b"sk-" not in body


async def test_the_demanded_key_can_stand_in_the_model_name(ask_provider: Ask) -> None:
    model = f"sim@key:{fingerprint('sk-secret')}"
    assert (await ask_provider("groq", {"model": model, "messages": [USER]}))[0] == 200
    assert (await ask_provider("groq", {"model": "sim@key:other", "messages": [USER]}))[0] == 401


async def test_stored_responses_want_the_same_key() -> None:
    async with (
        Simulator(script=Script(key="sk-right")) as simulator,
        AsyncOpenAI(base_url=simulator.base_url, api_key="sk-right", max_retries=0) as right,
    ):
        response = await right.responses.create(model="sim", input="Hi")
        assert (await right.responses.retrieve(response.id)).id == response.id
        with pytest.raises(sdk.AuthenticationError):
            await right.with_options(api_key="sk-wrong").responses.retrieve(response.id)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_azure_client_reaches_deployments_and_responses(simulator: Simulator, stream: bool) -> None:
    async with AsyncAzureOpenAI(
        azure_endpoint=simulator.origin("azure"), api_version="2025-04-01-preview", api_key="azure-key", max_retries=0
    ) as client:
        messages: Any = [USER]
        answer: Any = await client.chat.completions.create(model="sim-echo", messages=messages, stream=stream)
        chunks = [chunk async for chunk in answer] if stream else []
        response = await client.responses.create(model="sim-echo", input="Hello")
        assert (await client.responses.retrieve(response.id)).output_text == "Hello"
    assert simulator.record[0].path == "/p/azure/openai/deployments/sim-echo/chat/completions"
    assert simulator.record[0].headers["api-key"] == fingerprint("azure-key")
    if stream:
        assert chunks[0].choices == []
        assert chunks[0].prompt_filter_results[0]["prompt_index"] == 0
        assert chunks[2].choices[0].content_filter_results["hate"] == {"filtered": False, "severity": "safe"}
    else:
        assert answer.prompt_filter_results
        assert answer.choices[0].message.content == "Hi"


async def test_a_deployment_is_the_model_where_the_body_names_none(simulator: Simulator) -> None:
    url = f"{simulator.origin('azure')}/openai/deployments/sim-echo/chat/completions"
    async with aiohttp.ClientSession(headers={"api-key": "k"}) as session:
        async with session.post(url, params={"api-version": "2024-10-21"}, json={"messages": [USER]}) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == "Hi"
        async with session.post(url, json={"messages": [USER]}) as answer:
            assert (answer.status, await answer.json()) == (
                404,
                {"error": {"code": "404", "message": "Resource not found"}},
            )
