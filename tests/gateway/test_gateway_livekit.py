"""LiveKit's own clients before the whole running system: livekit-agents and its OpenAI plugin.

Both leave most of their types open, so they are taken as untyped here.
"""

import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Generator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from livekit import agents as livekit_agents
from livekit.agents.utils import http_context
from livekit.plugins import openai as livekit_openai

from tests.e2e.conftest import RunningTokenbus
from tests.gateway.conftest import gateway_process
from tests.livekit.agent_talk import check_tool_turn, talk, text_of

agents: Any = livekit_agents
openai_plugin: Any = livekit_openai

KEY, SECRET = "APItest", secrets.token_hex(20)
MODEL = "openai/sim@tokens:8"
CALLING = "openai/sim@call:get_weather"
_FRESH = count(500)

Closing = Callable[[Any], Any]


class Turn(NamedTuple):
    """What an agent gets of one answer."""

    text: str
    calls: list[Any]
    usage: Any
    ids: set[str]


@pytest.fixture(scope="module")
def url(running: RunningTokenbus, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder: Path = tmp_path_factory.mktemp("livekit")
    (folder / "keys.yaml").write_text(f"livekit: [{{key: {KEY}, secret_env: LIVEKIT_API_SECRET, class: priority}}]\n")
    variables = {"TOKENBUS_GATEWAY_KEYS_FILE": str(folder / "keys.yaml"), "LIVEKIT_API_SECRET": SECRET}
    with gateway_process(running, folder, **variables) as base:
        yield base


@pytest.fixture
def token() -> str:
    now = int(time.time())
    return jwt.encode({"iss": KEY, "nbf": now, "exp": now + 600, "inference": {"perform": True}}, SECRET, "HS256")


@pytest.fixture(autouse=True)
async def http_session() -> AsyncGenerator[None]:
    async with http_context.open():
        yield


@pytest.fixture
async def closing() -> AsyncGenerator[Closing]:
    """Gives what it is given, and closes it after the test."""
    kept: list[Any] = []

    def keep(llm: Any) -> Any:
        kept.append(llm)
        return llm

    yield keep
    for llm in reversed(kept):
        await llm.aclose()


def inference(url: str, model: str, **options: object) -> Any:
    """A self-hosted LiveKit Inference: one base URL."""
    return agents.inference.LLM(model, base_url=url, api_key=KEY, api_secret=SECRET, **options)


def conversation(*messages: tuple[str, str]) -> Any:
    context = agents.llm.ChatContext.empty()
    for role, text in messages:
        context.add_message(role=role, content=text)
    return context


def weather_tool() -> Any:
    async def get_weather(city: str) -> str:
        """The weather."""
        return f"sunny in {city}"

    return agents.llm.function_tool(get_weather)


async def turn(llm: Any, context: Any, **options: object) -> Turn:
    text: list[str] = []
    calls: list[Any] = []
    usage: Any = None
    ids: set[str] = set()
    patience = agents.APIConnectOptions(max_retry=0, timeout=8)
    async with llm.chat(chat_ctx=context, conn_options=patience, **options) as stream:
        async for chunk in stream:
            ids.add(chunk.id)
            if chunk.delta is not None:
                text.append(chunk.delta.content or "")
                calls += chunk.delta.tool_calls or []
            usage = chunk.usage or usage
    return Turn("".join(text), calls, usage, ids)


async def test_inference_with_its_own_token_and_headers(url: str, closing: Closing) -> None:
    got = await turn(
        closing(inference(url, MODEL, inference_class="low", provider="openai")), conversation(("user", "hi"))
    )
    assert got.text
    assert got.usage.completion_tokens == 8
    assert len(got.ids) == 1


def chat(url: str, token: str, model: str, closing: Closing) -> Any:
    return closing(openai_plugin.LLM(model=model, api_key=token, base_url=url))


def over_socket(url: str, token: str, model: str, closing: Closing) -> Any:
    return closing(openai_plugin.responses.LLM(model=model, api_key=token, base_url=url))


def over_http(url: str, token: str, model: str, closing: Closing) -> Any:
    plugin = openai_plugin.responses.LLM
    return closing(plugin(model=model, api_key=token, base_url=url, use_websocket=False))


def over_inference(url: str, token: str, model: str, closing: Closing) -> Any:
    del token  # it signs its own
    return closing(inference(url, model))


def falling_back(url: str, token: str, model: str, closing: Closing) -> Any:
    broken = over_inference(url, token, f"openai/sim-500@tokens:{next(_FRESH)}", closing)
    members = [broken, over_socket(url, token, model, closing)]
    return closing(agents.llm.FallbackAdapter(members, attempt_timeout=20))


EVERY_WAY = pytest.mark.parametrize("way", [over_inference, chat, over_socket, over_http, falling_back])
"""In which an agent may reach the gateway."""
Way = Callable[[str, str, str, Closing], Any]


@EVERY_WAY
async def test_an_agent_calls_its_tool_and_tells_what_it_said(url: str, token: str, way: Way, closing: Closing) -> None:
    await check_tool_turn(way(url, token, CALLING, closing))


@EVERY_WAY
async def test_an_agent_talks_turn_by_turn(url: str, token: str, way: Way, closing: Closing) -> None:
    turns = await talk(way(url, token, "openai/sim-echo", closing), "first words", "second words", "third words")
    assert [[text_of(item) for item in turn] for turn in turns] == [["first words"], ["second words"], ["third words"]]


async def test_inference_calls_tools(url: str, closing: Closing) -> None:
    got = await turn(closing(inference(url, CALLING)), conversation(("user", "hi")), tools=[weather_tool()])
    assert [(call.name, list(json.loads(call.arguments))) for call in got.calls] == [("get_weather", ["city"])]


@pytest.mark.parametrize(
    ("model", "status", "retryable"),
    [
        ("nobody/knows-it", 404, False),
        ("openai/sim-429@retry:0@tokens:{}", 429, True),
        ("openai/sim-500@tokens:{}", 502, True),
    ],
)
async def test_an_error_before_the_answer_is_retried_as_its_status_says(
    url: str, model: str, status: int, retryable: bool, closing: Closing
) -> None:
    with pytest.raises(agents.APIStatusError) as caught:
        await turn(closing(inference(url, model.format(next(_FRESH)))), conversation(("user", "hi")))
    assert (caught.value.status_code, caught.value.retryable) == (status, retryable)
    assert caught.value.request_id


async def test_a_cut_answer_is_an_error_and_not_retried(url: str, closing: Closing) -> None:
    with pytest.raises(agents.APIConnectionError) as caught:
        await turn(closing(inference(url, "openai/sim@tokens:30@fault:cut@after:5")), conversation(("user", "hi")))
    assert caught.value.retryable is False


async def test_the_fallback_adapter_takes_the_next(url: str, closing: Closing) -> None:
    members = [closing(inference(url, model)) for model in (f"openai/sim-500@tokens:{next(_FRESH)}", MODEL)]
    adapter = closing(agents.llm.FallbackAdapter(members, attempt_timeout=8))
    assert (await turn(adapter, conversation(("user", "hi")))).text


async def test_the_chat_plugin(url: str, token: str, closing: Closing) -> None:
    llm = closing(openai_plugin.LLM(model=MODEL, api_key=token, base_url=url))
    assert (await turn(llm, conversation(("system", "s"), ("user", "hi")))).usage.completion_tokens == 8


@pytest.mark.parametrize("path", ["/responses", ""])
async def test_the_responses_plugin_talks_over_one_socket(url: str, token: str, path: str, closing: Closing) -> None:
    llm = closing(openai_plugin.responses.LLM(model="openai/sim-echo", api_key=token, base_url=f"{url}{path}"))
    context = conversation(("system", "s"), ("user", "first words"))
    first = await turn(llm, context)
    context.add_message(role="assistant", content=first.text)
    context.add_message(role="user", content="second words")
    second = await turn(llm, context)
    assert (first.text, second.text) == ("first words", "second words")


async def test_the_responses_plugin_goes_on_after_a_tool(url: str, token: str, closing: Closing) -> None:
    llm = closing(openai_plugin.responses.LLM(model=CALLING, api_key=token, base_url=f"{url}/responses"))
    context = conversation(("user", "weather?"))
    first = await turn(llm, context, tools=[weather_tool()])
    (call,) = first.calls
    context.insert(agents.llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments))
    output = agents.llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output="sunny", is_error=False)
    context.insert(output)
    second = await turn(llm, context, tools=[weather_tool()])
    assert "sunny" in second.text


async def test_the_responses_plugin_over_http(url: str, token: str, closing: Closing) -> None:
    llm = closing(openai_plugin.responses.LLM(model=MODEL, api_key=token, base_url=url, use_websocket=False))
    got = await turn(llm, conversation(("user", "hi")))
    assert got.usage.completion_tokens == 8
