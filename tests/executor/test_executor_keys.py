"""Where keys come from, how requests are addressed with them, and that they are never shown."""

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.executor.conftest import BOTH_APIS, KEY, POOL, Desk, StartExecutor, provider, target
from tests.executor.test_executor_failover import asked
from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.keys import Keyring, MissingValueError
from tokenbus_executor.upstreams import Budgets, Upstream, Upstreams
from tokenbus_executor.upstreams.proxies import proxy_for
from tokenbus_schemas import Api, ProviderRow
from tokenbus_simulator import Simulator, fingerprint

ROTATED = "sk-rotated-fedcba9876543210"


def row(**changes: Any) -> ProviderRow:
    fields: dict[str, Any] = {"name": "lab", "base_url": "https://lab.example/v1", "pool": POOL, "api_key_env": "K"}
    return ProviderRow(**{**fields, **changes})


async def reached(
    made: ProviderRow, *, api: Api = "responses", environment: Mapping[str, str] | None = None
) -> Upstream:
    """A target of the provider, ready to be called."""
    keyring = Keyring({"K": KEY} if environment is None else environment)
    async with Upstreams.open(keyring, budgets=Budgets()) as upstreams:
        return await upstreams.upstream(target("gpt/1", api=api), row=made)


async def why_not(made: ProviderRow, environment: Mapping[str, str]) -> str:
    with pytest.raises(UpstreamError) as caught:
        await reached(made, environment=environment)
    assert caught.value.failure.code == "target_unavailable"
    assert caught.value.failure.retry_elsewhere
    return caught.value.failure.message


def test_a_variable_comes_before_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from file\n")
    environment = {"K": KEY, "K_FILE": str(tmp_path / "key")}

    assert Keyring(environment).secret("K").get_secret_value() == KEY
    assert Keyring({"K_FILE": environment["K_FILE"]}).secret("K").get_secret_value() == "from file"


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    keyring = Keyring({"K_FILE": str(path)})
    assert keyring.secret("K").get_secret_value() == KEY
    # As Kubernetes does it: a new file in the place of the old one.
    (tmp_path / "new").write_text(ROTATED)
    os.replace(tmp_path / "new", path)

    assert keyring.secret("K").get_secret_value() == ROTATED


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "can not be read"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff", "not UTF-8")]
)
def test_a_file_that_can_not_be_used_is_named_by_its_variable(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MissingValueError, match=problem) as caught:
        Keyring({"K_FILE": str(path)}).secret("K")

    assert "K_FILE" in str(caught.value)


async def test_openai_requests_carry_a_bearer_key_and_nothing_from_variables_about_openai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-elsewhere")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Elsewhere: yes")
    upstream = await reached(row())

    assert str(upstream.head.url) == "https://lab.example/v1/responses"
    assert {name.lower(): value for name, value in upstream.head.headers.items() if name.lower() != "user-agent"} == {
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize(
    ("changes", "api", "url", "credential"),
    [
        (
            {"base_url": "https://lab.example/v1/"},
            "chat_completions",
            "https://lab.example/v1/chat/completions",
            "bearer",
        ),
        ({"auth": "api-key"}, "responses", "https://lab.example/v1/responses", "api-key"),
        ({"query": {"a": "b c"}}, "responses", "https://lab.example/v1/responses?a=b+c", "bearer"),
        (
            {"kind": "azure", "base_url": "https://me.openai.azure.com"},
            "responses",
            "https://me.openai.azure.com/openai/v1/responses",
            "bearer",
        ),
        (
            {"kind": "azure", "base_url": "https://me.openai.azure.com/openai/v1/", "auth": "api-key"},
            "chat_completions",
            "https://me.openai.azure.com/openai/v1/chat/completions",
            "api-key",
        ),
        (
            {"kind": "azure", "base_url": "https://me.openai.azure.com/", "api_version": "2025-04-01-preview"},
            "responses",
            "https://me.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
            "api-key",
        ),
        (
            {"kind": "azure", "base_url": "https://me.openai.azure.com", "api_version": "2025-04-01-preview"},
            "chat_completions",
            "https://me.openai.azure.com/openai/deployments/gpt%2F1/chat/completions?api-version=2025-04-01-preview",
            "api-key",
        ),
        (
            {"kind": "azure", "base_url": "https://me.openai.azure.com", "api_version": "2024-10-21", "auth": "bearer"},
            "responses",
            "https://me.openai.azure.com/openai/responses?api-version=2024-10-21",
            "bearer",
        ),
    ],
)
async def test_each_kind_of_provider_is_addressed_in_its_own_way(
    changes: dict[str, Any], api: Api, url: str, credential: str
) -> None:
    upstream = await reached(row(**changes), api=api)
    headers = {name.lower(): value for name, value in upstream.head.headers.items()}

    assert str(upstream.head.url) == url
    sent = {name: headers[name] for name in ("authorization", "api-key") if name in headers}
    assert sent == ({"api-key": KEY} if credential == "api-key" else {"authorization": f"Bearer {KEY}"})


async def test_a_provider_without_a_key_gets_none() -> None:
    upstream = await reached(row(api_key_env=None), environment={})

    assert not {"authorization", "api-key"} & {name.lower() for name in upstream.head.headers}


async def test_headers_come_from_the_row_and_from_the_environment() -> None:
    made = row(
        headers={"HTTP-Referer": "https://me.example"},
        header_env={"OpenAI-Organization": "ORG", "OpenAI-Project": "PROJECT"},
    )
    upstream = await reached(made, environment={"K": KEY, "ORG": "org-1"})

    assert upstream.head.headers["HTTP-Referer"] == "https://me.example"
    assert upstream.head.headers["OpenAI-Organization"] == "org-1"
    assert "OpenAI-Project" not in upstream.head.headers


async def test_the_environment_may_say_where_the_api_is() -> None:
    upstream = await reached(
        row(base_url_env="LAB_BASE_URL"), environment={"K": KEY, "LAB_BASE_URL": "http://127.0.0.1:9/x"}
    )

    assert str(upstream.head.url) == "http://127.0.0.1:9/x/responses"


async def test_a_missing_key_is_told_with_both_ways_to_set_it() -> None:
    assert "set K or K_FILE in the executors' environment" in await why_not(row(), {})


@pytest.mark.parametrize(
    "base_url", ["", "lab.example/v1", "ftp://lab.example", "https://", "https://me:pw@lab.example"]
)
async def test_an_address_that_can_not_be_used_is_told_without_being_shown(base_url: str) -> None:
    message = await why_not(row(base_url=base_url, base_url_env="LAB_URL"), {"K": KEY})

    assert "set LAB_URL in the executors' environment" in message
    assert "pw" not in message


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:1"}, "http://proxy:1"),
        ({"HTTPS_PROXY": "http://proxy:2"}, "http://proxy:2"),
        ({"HTTP_PROXY": "http://proxy:3"}, None),
        ({"ALL_PROXY": "http://proxy:4"}, "http://proxy:4"),
        ({"HTTPS_PROXY": "http://proxy:5", "NO_PROXY": "example"}, None),
        ({"HTTPS_PROXY": "http://proxy:5", "NO_PROXY": ".lab.example, other"}, None),
        ({"HTTPS_PROXY": "http://proxy:5", "NO_PROXY": "ample"}, "http://proxy:5"),
        ({"HTTPS_PROXY": "http://proxy:5", "no_proxy": "*"}, None),
    ],
)
def test_proxies_are_chosen_as_curl_does(environment: dict[str, str], expected: str | None) -> None:
    assert proxy_for("https://api.lab.example/v1", environment=environment) == expected


async def test_a_key_that_is_rotated_in_its_file_is_used_from_the_next_request_on(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    async with start_executor(keys={"LAB_KEY_FILE": str(path)}):
        await desk.ask()
        path.write_text(ROTATED)
        await desk.ask()

    sent = [exchange.headers["authorization"] for exchange in simulator.record]
    assert sent == [fingerprint(f"Bearer {KEY}"), fingerprint(f"Bearer {ROTATED}")]


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("version", [None, "2025-04-01-preview"])
async def test_azure_answers_through_both_of_its_addresses(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor, api: str, version: str | None
) -> None:
    azure = simulator.base_url.removesuffix("/v1") + "/p/azure"
    await desk.publish_providers(provider(simulator, kind="azure", base_url=azure, api_version=version))
    async with start_executor():
        events = await desk.ask("sim;tokens=5", api=api)

    assert events[-1]["type"] == "response.completed"


async def test_a_row_adds_fields_to_every_body_and_the_request_has_the_last_word(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    body = {"temperature": 0.1, "top_p": 0.2}
    await desk.publish_providers(
        provider(simulator, body=body, chat={"max_tokens_name": "max_tokens", "stream_options": {}})
    )
    async with start_executor():
        await desk.ask(api="chat_completions", request={"input": "Hi.", "temperature": 0.7, "max_output_tokens": 20})

    assert simulator.record[0].body == {
        "model": "sim",
        "messages": [{"role": "user", "content": "Hi."}],
        "temperature": 0.7,
        "top_p": 0.2,
        "max_tokens": 20,
        "stream": True,
    }


class Gossip:
    """A provider that quotes the key it was sent, everywhere it can."""

    base_url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        quoted = f"you sent {request.headers['Authorization']}"
        asked = await request.json()
        match asked["model"]:
            case "refuses":
                error = {"message": quoted, "type": quoted, "code": quoted, "param": quoted}
                return web.json_response({"error": error}, status=400, headers={"X-Said": quoted})
            case "breaks":
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"}, reason="OK " + KEY)
                await response.prepare(request)
                await response.write(
                    b'data: {"type":"error","error":{"message":"%b","code":"%b"}}\n\n' % ((quoted.encode(),) * 2)
                )
                return response
            case "goes on and on":
                long = "x" * (500 - len("you sent Bearer ") - len(KEY) // 2) + quoted
                return web.json_response({"error": {"message": long}}, status=400)
            case "leads elsewhere":
                return web.Response(status=307, headers={"Location": f"http://127.0.0.1:1/{KEY}"})
            case _:
                return web.Response(body=b"HTTP/1.1 " + quoted.encode(), content_type="application/json")


@pytest.fixture
async def gossip() -> AsyncGenerator[Gossip]:
    teller = Gossip()
    app = web.Application()
    app.router.add_post("/v1/{path:.*}", teller.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    teller.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield teller
    await runner.cleanup()


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_no_key_is_ever_in_a_log_an_event_a_store_or_a_repr(
    desk: Desk,
    simulator: Simulator,
    start_executor: StartExecutor,
    gossip: Gossip,
    caplog: pytest.LogCaptureFixture,
    api: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[bytes] = []
    await desk.bus.subscribe(">", lambda message: heard.append(message.data + str(message.headers).encode()))
    await desk.bus.flush()
    lab = provider(simulator, base_url=gossip.base_url, header_env={"X-Team": "TEAM"})
    await desk.publish_providers(lab, provider(simulator, name="away", base_url="http://127.0.0.1:1/v1"))
    environment = {"LAB_KEY": KEY, "TEAM": "team-secret-1"}
    async with start_executor(keys=environment):
        for model in ("refuses", "breaks", "goes on and on", "leads elsewhere", "babbles"):
            assert (await asked(desk, target(model, api=api)))[-1]["type"] == "response.failed"
        await asked(desk, target(provider="away"), target("refuses", api=api))
    keyring = Keyring(environment)
    async with Upstreams.open(keyring, budgets=Budgets()) as upstreams:
        made = await upstreams.upstream(target(), row=lab)
        shown = [repr(one) for one in (keyring, upstreams, made, made.access, made.head, keyring.secret("LAB_KEY"))]

    said = "\n".join([caplog.text, *map(str, (vars(record) for record in caplog.records)), *shown])
    assert KEY[:8] not in said
    assert "team-secret-1" not in said
    assert len(heard) > 20
    assert KEY[:8].encode() not in b"\n".join(heard)
    assert b"team-secret-1" not in b"\n".join(heard)
    assert b"you sent Bearer [hidden]" in b"\n".join(heard)
