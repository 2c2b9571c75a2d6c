"""Every provider of the product: its address, its key, and the dialect it is spoken to in."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.bench import DATED_KEY, KEYS, Bench
from tests.conformance.capabilities import CAPABILITIES, DATED, Capabilities
from tests.conformance.product_tables import ENDPOINTS, Api, Endpoint, Json
from tokenbus_router.catalog_default import default_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_simulator import fingerprint
from tokenbus_simulator.profiles import PROFILES

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
CATALOG = load_catalog(default_text())
PATHS = {"responses": "/responses", "chat_completions": "/chat/completions"}
every_endpoint = pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.name)


async def test_catalog_suite_and_simulator_know_the_same_providers_and_apis() -> None:
    assert set(BY_NAME) == set(CATALOG.providers) == set(PROFILES)
    known = {(name, api) for name, provider in CATALOG.providers.items() for api in provider.apis}
    assert {(row.provider, row.api) for row in CAPABILITIES if row.provider != DATED} == known


@every_endpoint
async def test_the_catalog_has_the_providers_address_and_variables(row: Endpoint) -> None:
    entry = CATALOG.providers[row.name]
    assert (entry.base_url, entry.base_url_env, entry.api_key_env) == (row.base_url, row.base_url_env, row.key_env)


@pytest.mark.parametrize("row", [row for row in CAPABILITIES if row.provider != DATED], ids=str)
async def test_a_request_goes_to_the_providers_path_with_its_key(bench: Bench, row: Capabilities) -> None:
    endpoint = BY_NAME[row.provider]
    answered = (await bench.ask(f"{row.provider}/{endpoint.model}", provider=row.provider, api=row.api)).completed()

    [exchange] = answered.exchanges
    base = bench.simulator.base_urls[row.provider]
    assert exchange.path == urlsplit(base).path + PATHS[row.api]
    assert base.endswith(urlsplit(endpoint.base_url).path)
    assert _credentials(exchange.headers) == {endpoint.key_header: fingerprint(_sent(endpoint))}
    assert answered.upstream["model"] == endpoint.model


@pytest.mark.parametrize(
    ("api", "path"),
    [("responses", "/openai/responses"), ("chat_completions", "/openai/deployments/my-gpt/chat/completions")],
)
async def test_azures_older_api_has_the_deployment_and_the_version_in_its_address(
    bench: Bench, api: Api, path: str
) -> None:
    answered = (await bench.ask(f"{DATED}/my-gpt", api=api)).completed()

    [exchange] = answered.exchanges
    assert exchange.path == urlsplit(bench.simulator.origin("azure")).path + path
    [key] = DATED_KEY.values()
    assert _credentials(exchange.headers) == {"api-key": fingerprint(key)}
    assert answered.upstream["model"] == "my-gpt"


def _sent(endpoint: Endpoint) -> str:
    key = KEYS[endpoint.name]
    return f"Bearer {key}" if endpoint.key_header == "authorization" else key


def _credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in ("authorization", "api-key")}


async def _chat_body(bench: Bench, row: Endpoint, **asked: Any) -> Json:
    model = f"{row.name}/sim"
    return (await bench.ask(model, provider=row.name, api="chat_completions", **asked)).completed().upstream


@every_endpoint
async def test_the_limit_of_tokens_has_the_providers_name(bench: Bench, row: Endpoint) -> None:
    body = await _chat_body(bench, row, max_output_tokens=64)

    limits = {name: value for name, value in body.items() if name.startswith("max_")}
    assert limits == {row.limit: 64}


@every_endpoint
async def test_a_developer_message_has_the_providers_role(bench: Bench, row: Endpoint) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    body = await _chat_body(bench, row, messages=messages)

    assert [message["role"] for message in body["messages"]] == [row.developer, "user"]


@every_endpoint
async def test_usage_is_asked_for_unless_it_comes_unasked(bench: Bench, row: Endpoint) -> None:
    body = await _chat_body(bench, row)

    assert body.get("stream_options", {}) == row.stream_options
    assert body["stream"] is True


@every_endpoint
async def test_a_chat_upstream_gets_nothing_that_was_not_asked_for(bench: Bench, row: Endpoint) -> None:
    body = await _chat_body(bench, row, instructions="Be brief.", input="Hi.")

    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    assert set(body) - {"stream_options"} == {"model", "messages", "stream"}


@every_endpoint
async def test_a_key_that_is_missing_makes_the_target_unavailable_and_says_which(bench: Bench, row: Endpoint) -> None:
    with bench.without_key(row.key_env):
        answered = await bench.ask(f"{row.name}/sim", provider=row.name)

    assert answered.error["type"] == "target_unavailable"
    assert row.key_env in answered.error["message"]
    assert answered.exchanges == []


@every_endpoint
async def test_the_key_stands_in_no_event(bench: Bench, row: Endpoint) -> None:
    for model in ("sim", "sim-401"):
        answered = await bench.ask(f"{row.name}/{model}", provider=row.name)

        assert KEYS[row.name] not in str(answered.events)
