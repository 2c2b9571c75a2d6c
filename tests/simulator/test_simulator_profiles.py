"""Every provider: its address, its key, what it refuses, and how its chunks look to the SDK's strict types."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai as sdk
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tokenbus_simulator import Simulator
from tokenbus_simulator.profiles import PROFILES
from tokenbus_simulator.quirks import QUIRKS
from tokenbus_simulator.rules import Rule

Events = Callable[[bytes], list[dict[str, Any]]]
Ask = Callable[..., Awaitable[tuple[int, bytes]]]

USER = {"role": "user", "content": "Hi"}
FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Noon"},
]
CHAT_PATHS = {
    "openai": "/v1/chat/completions",
    "azure": "/openai/v1/chat/completions",
    "baseten": "/v1/chat/completions",
    "cerebras": "/v1/chat/completions",
    "deepseek": "/v1/chat/completions",
    "fireworks": "/inference/v1/chat/completions",
    "groq": "/openai/v1/chat/completions",
    "perplexity": "/chat/completions",
    "telnyx": "/v2/ai/chat/completions",
    "together": "/v1/chat/completions",
    "xai": "/v1/chat/completions",
}
HAS_RESPONSES = {"openai", "azure", "deepseek", "fireworks", "groq", "perplexity", "xai"}
RICH = 'sim;reasoning=3;text=A "B" ü.;call=get_time({"zone":"UTC"});call=get_time'

# One request per rule that breaks it, by the rule's first words.
BROKEN: dict[str, dict[str, dict[str, Any]]] = {
    "openai": {
        "reasoning models take no penalties": {"model": "gpt-5-mini", "presence_penalty": 0.5},
        "they take no stop": {"model": "gpt-5.2", "stop": ["END"]},
        "reasoning models give one answer": {"model": "o3", "n": 2},
        "who reasons samples": {"model": "openai/gpt-5", "logprobs": True},
        "who reasons has one temperature": {"model": "gpt-5.1", "temperature": 0.2, "reasoning_effort": "low"},
        "reasoning models count": {"model": "o4-mini", "max_tokens": 100},
    },
    "groq": {
        "neither probabilities": {"logprobs": True},
        "one choice": {"n": 2},
        "no names": {"messages": [{**USER, "name": "Ada"}]},
        "reasoning goes": {"messages": [USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER]},
    },
    "deepseek": {
        "thoughts come back": {"model": "deepseek-v4-pro", "messages": CALLED},
        "no call is forced": {"model": "deepseek-reasoner", "tools": [FUNCTION], "tool_choice": "required"},
        "no developer": {"messages": [{"role": "developer", "content": "Be kind."}, USER]},
        "no images": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x:"}}]}]},
        "no schemas": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    },
    "cerebras": {
        "no penalties": {"frequency_penalty": 0.5},
        "strict tools": {"tools": [FUNCTION, {"type": "function", "function": {"name": "a", "strict": True}}]},
        "reasoning goes": {"messages": [USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER]},
    },
    "perplexity": {
        "user and assistant": {"messages": [USER, USER]},
        "the assistant": {"messages": [USER, {"role": "assistant", "content": "a"}]},
    },
    "xai": {
        "reasoning models": {"model": "grok-4-1-fast-reasoning", "presence_penalty": 0.5},
        "the model's name": {"model": "grok-4-1-fast-reasoning", "reasoning_effort": "low"},
    },
    "telnyx": {"tools and a limit": {"tools": [FUNCTION], "max_tokens": 100}},
}
BROKEN["azure"] = BROKEN["openai"]

RULES = [(name, rule) for name, profile in PROFILES.items() for rule in profile.rules]


@asynccontextmanager
async def client_of(simulator: Simulator, profile: str) -> AsyncGenerator[AsyncOpenAI]:
    base_url = simulator.base_urls[profile]
    async with AsyncOpenAI(base_url=base_url, api_key="sk-secret", max_retries=0) as client:
        yield client


def test_every_provider_has_a_row_and_every_row_a_source() -> None:
    assert set(PROFILES) == set(CHAT_PATHS)
    told = [profile.seen for profile in PROFILES.values()] + [rule.seen for _, rule in RULES]
    assert all("20" in seen for seen in told)
    assert {name for profile in PROFILES.values() for name in profile.quirks} <= set(QUIRKS)


@pytest.mark.parametrize("profile", PROFILES)
async def test_every_provider_answers_at_its_real_path_under_its_own_host(simulator: Simulator, profile: str) -> None:
    async with client_of(simulator, profile) as client:
        messages: Any = [USER]
        completion = await client.chat.completions.create(model="gpt-4.1-mini", messages=messages)
        models = [model.id async for model in client.models.list()]
    assert "Hi" in (completion.choices[0].message.content or "")
    assert "sim-echo" in models
    assert simulator.record[0].path == f"/p/{profile}{CHAT_PATHS[profile]}"


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_responses_api_is_there_only_where_the_provider_has_it(simulator: Simulator, profile: str) -> None:
    async with client_of(simulator, profile) as client:
        if profile in HAS_RESPONSES:
            assert (await client.responses.create(model="sim-echo", input="Hi")).output_text == "Hi"
        else:
            with pytest.raises(sdk.NotFoundError):
                await client.responses.create(model="sim-echo", input="Hi")


@pytest.mark.parametrize("profile", PROFILES)
async def test_every_chunk_and_completion_of_every_provider_parses_and_accumulates(
    simulator: Simulator, ask_provider: Ask, parse_sse: Events, profile: str
) -> None:
    request = {"model": RICH, "messages": [USER], "tools": [FUNCTION]}
    status, body = await ask_provider(profile, {**request, "stream": True})
    assert status == 200
    for chunk in parse_sse(body):
        if "error" not in chunk and chunk["object"] not in ("", "chat.completion.done"):
            ChatCompletionChunk.model_validate({"created": 0, "model": "", **chunk})
    status, body = await ask_provider(profile, request)
    assert status == 200
    ChatCompletion.model_validate_json(body)
    async with client_of(simulator, profile) as client:
        tools: Any = [FUNCTION]
        messages: Any = [USER]
        arguments: dict[int, str] = {}
        text = ""
        async for chunk in await client.chat.completions.create(
            model=RICH, messages=messages, tools=tools, stream=True
        ):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or ():
                    assert call.function is not None
                    arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert text == 'A "B" ü.'
    assert arguments == {0: '{"zone":"UTC"}', 1: "{}"}


@pytest.mark.parametrize(("profile", "rule"), RULES, ids=[f"{name}: {rule.about}" for name, rule in RULES])
async def test_what_breaks_a_rule_is_refused_in_the_providers_words_and_form(
    ask_provider: Ask, profile: str, rule: Rule
) -> None:
    [broken] = [request for words, request in BROKEN[profile].items() if rule.about.startswith(words)]
    status, body = await ask_provider(profile, {"model": "sim", "messages": [USER], **broken})
    assert status == rule.status
    fixed_words = max(rule.message.replace("{", "}").split("}")[::2], key=len).strip()
    assert fixed_words in body.decode().replace('\\"', '"')


def test_every_rule_has_a_request_that_breaks_it() -> None:
    for profile, rule in RULES:
        assert [words for words in BROKEN[profile] if rule.about.startswith(words)], (profile, rule.about)


@pytest.mark.parametrize(
    ("profile", "request_"),
    [
        ("openai", {"model": "gpt-4.1", "temperature": 0.2, "presence_penalty": 0.5, "n": 2, "max_tokens": 50}),
        ("openai", {"model": "gpt-5-mini", "temperature": 1}),
        ("openai", {"model": "gpt-5.2", "temperature": 0.2}),
        ("openai", {"model": "gpt-5.2", "temperature": 0.2, "reasoning_effort": "none"}),
        ("openai", {"model": "gpt-5-chat-latest", "temperature": 0.2}),
        ("xai", {"model": "grok-4-1-fast-non-reasoning", "presence_penalty": 0.5, "stop": "x"}),
        ("cerebras", {"tools": [FUNCTION, FUNCTION]}),
        ("deepseek", {"model": "deepseek-v4-pro", "thinking": {"type": "disabled"}, "messages": CALLED}),
        ("deepseek", {"model": "deepseek-v4-pro", "messages": [USER], "unheard_of": 1}),
        ("perplexity", {"messages": [{"role": "system", "content": "Be kind."}, *CALLED]}),
        ("telnyx", {"max_tokens": 100}),
        ("groq", {"reasoning_format": "parsed", "n": 1}),
    ],
)
async def test_what_keeps_the_rules_is_answered(ask_provider: Ask, profile: str, request_: dict[str, Any]) -> None:
    status, body = await ask_provider(profile, {"model": "sim", "messages": [USER], **request_})
    assert status == 200, body


ERRORS: dict[str, object] = {
    "openai": {
        "error": {
            "message": "Unknown parameter: 'x'.",
            "type": "invalid_request_error",
            "param": "x",
            "code": "unknown_parameter",
        }
    },
    "groq": {"error": {"message": "property 'x' is unsupported", "type": "invalid_request_error"}},
    "cerebras": {
        "message": "x: property 'x' is unsupported",
        "type": "invalid_request_error",
        "param": "validation_error",
        "code": "wrong_api_format",
    },
    "fireworks": {
        "error": {
            "message": "Extra inputs are not permitted, field: 'x'",
            "type": "invalid_request_error",
            "param": "x",
            "code": None,
        }
    },
}


@pytest.mark.parametrize("profile", PROFILES)
async def test_an_unknown_parameter_is_refused_or_ignored_as_the_provider_does(
    ask_provider: Ask, parse_sse: Events, profile: str
) -> None:
    status, body = await ask_provider(profile, {"model": "sim", "messages": [USER], "x": 1})
    if PROFILES[profile].unknown is None:
        assert status == 200
    else:
        assert (status, parse_sse(b"data: " + body)) == (400, [ERRORS["openai" if profile == "azure" else profile]])


@pytest.mark.parametrize(
    ("profile", "status", "body"),
    [
        ("xai", 429, {"code": "Some resource has been exhausted", "error": "Rate limit reached."}),
        ("perplexity", 429, {"error": {"message": "Rate limit reached.", "type": "tokens", "code": 429}}),
        (
            "telnyx",
            429,
            {"errors": [{"code": "rate_limit_exceeded", "title": "tokens", "detail": "Rate limit reached."}]},
        ),
    ],
)
async def test_scripted_errors_have_the_providers_form_too(
    ask_provider: Ask, parse_sse: Events, profile: str, status: int, body: object
) -> None:
    got, answer = await ask_provider(profile, {"model": f"sim-{status}", "messages": [USER]})
    assert (got, parse_sse(b"data: " + answer)) == (status, [body])


async def test_a_script_puts_on_a_profile_without_its_path(openai: AsyncOpenAI) -> None:
    messages: Any = [USER]
    with pytest.raises(sdk.BadRequestError, match="property 'logprobs' is unsupported"):
        await openai.chat.completions.create(model="sim;profile=groq", messages=messages, logprobs=True)


@pytest.mark.parametrize("profile", sorted(HAS_RESPONSES - {"openai", "azure", "fireworks", "xai"}))
async def test_a_provider_without_memory_knows_no_earlier_response(simulator: Simulator, profile: str) -> None:
    async with client_of(simulator, profile) as client:
        first = await client.responses.create(model="sim", input="Hi")
        with pytest.raises(sdk.NotFoundError):
            await client.responses.retrieve(first.id)
        with pytest.raises(sdk.BadRequestError):
            await client.responses.create(model="sim", input="Hi", previous_response_id=first.id)
        with pytest.raises(sdk.BadRequestError):
            await client.responses.create(model="sim", input="Hi", background=True)


@pytest.mark.parametrize(
    "path", ["/p/nobody/v1/models", "/p/groq/v1/models", "/p/groq", "/v2/ai/models", "/v1/responses/a/b"]
)
async def test_no_other_path_is_served(simulator: Simulator, path: str) -> None:
    url = f"http://127.0.0.1:{simulator.port}{path}"
    async with aiohttp.ClientSession(headers={"authorization": "Bearer k"}) as session, session.get(url) as answer:
        assert answer.status == 404
