"""Tables 1, 3 and 4 of the product: the models, who serves them in which order, and how each provider is reached."""

import re

import pytest

from tests.router.default_routes import CATALOG, TABLE, admitted
from tokenbus_router.routing_table import pools, provider_table
from tokenbus_schemas import ErrorBody
from tokenbus_schemas.work import ProviderRow

OPENAI_MODELS = [
    *("openai/gpt-4.1", "openai/gpt-4.1-mini", "openai/gpt-4.1-nano", "openai/gpt-4o", "openai/gpt-4o-mini"),
    *("openai/gpt-5", "openai/gpt-5-mini", "openai/gpt-5-nano", "openai/gpt-5.1", "openai/gpt-5.1-chat-latest"),
    *("openai/gpt-5.2", "openai/gpt-5.2-chat-latest", "openai/gpt-5.3-chat-latest", "openai/gpt-5.4"),
]
SERVED_BY: list[tuple[str, list[str]]] = [
    *((model, ["azure", "openai"]) for model in OPENAI_MODELS),
    ("openai/gpt-oss-120b", ["baseten", "groq"]),
]

CHAT = ("chat_completions",)
BOTH = ("responses", "chat_completions")
# name, base URL, variable of the key, APIs: facts of livekit-plugins-openai 1.8.9 and its sister packages.
REACHED: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", BOTH),
    ("azure", "", "AZURE_OPENAI_API_KEY", BOTH),
    ("baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY", CHAT),
    ("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", CHAT),
    ("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", CHAT),
    ("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", CHAT),
    ("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", CHAT),
    ("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", CHAT),
    ("telnyx", "https://api.telnyx.com/v2/ai", "TELNYX_API_KEY", CHAT),
    ("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", CHAT),
    ("xai", "https://api.x.ai/v1", "XAI_API_KEY", CHAT),
]
ROWS: dict[str, ProviderRow] = {row.name: row for row in provider_table(CATALOG).providers}


@pytest.mark.parametrize(("model", "providers"), SERVED_BY, ids=[row[0] for row in SERVED_BY])
def test_a_model_of_the_table_is_served_by_its_providers_in_order(model: str, providers: list[str]) -> None:
    assert [target.provider for target in admitted(model).targets] == providers


@pytest.mark.parametrize(("model", "providers"), SERVED_BY, ids=[row[0] for row in SERVED_BY])
def test_each_provider_of_a_model_can_be_pinned(model: str, providers: list[str]) -> None:
    for provider in providers:
        pinned = admitted(model, tokenbus={"provider": provider})
        assert [target.provider for target in pinned.targets] == [provider]


def test_the_catalog_has_the_models_of_the_table_and_patterns_only() -> None:
    assert [name for name in CATALOG.models if not name.endswith("/*")] == [model for model, _ in SERVED_BY]


@pytest.mark.parametrize(("name", "base_url", "key", "apis"), REACHED, ids=[row[0] for row in REACHED])
def test_a_provider_is_reached_at_its_address_with_its_key(
    name: str, base_url: str, key: str, apis: tuple[str, ...]
) -> None:
    row = ROWS[name]
    assert (row.base_url, row.api_key_env, row.apis, row.pool) == (base_url, key, apis, name)


def test_no_other_provider_is_in_the_catalog_and_each_has_a_queue_of_its_own() -> None:
    assert list(ROWS) == [row[0] for row in REACHED]
    assert pools(CATALOG) == [row[0] for row in REACHED]


def test_azure_is_addressed_by_the_resource_that_the_executors_know() -> None:
    row = ROWS["azure"]
    assert (row.kind, row.base_url_env, row.api_version) == ("azure", "AZURE_OPENAI_ENDPOINT", None)


@pytest.mark.parametrize("name", [row[0] for row in REACHED])
def test_every_model_of_a_provider_is_reached_under_its_name(name: str) -> None:
    (target,) = admitted(f"{name}/meta-llama/Llama-3.3-70B").targets
    assert (target.provider, target.model, target.pool) == (name, "meta-llama/Llama-3.3-70B", name)
    assert target.api == ROWS[name].apis[0]


DIALECTS: list[tuple[str, str, str | None, str]] = [
    ("openai", "max_completion_tokens", None, "developer"),
    ("azure", "max_completion_tokens", None, "developer"),
    ("baseten", "max_tokens", None, "system"),
    ("cerebras", "max_completion_tokens", "reasoning", "system"),
    ("deepseek", "max_tokens", "reasoning_content", "system"),
    ("fireworks", "max_tokens", None, "system"),
    ("groq", "max_completion_tokens", "reasoning", "system"),
    ("perplexity", "max_tokens", None, "system"),
    ("telnyx", "max_tokens", None, "system"),
    ("together", "max_tokens", None, "system"),
    ("xai", "max_completion_tokens", None, "system"),
]


@pytest.mark.parametrize(("name", "limit", "reasoning", "developer"), DIALECTS, ids=[row[0] for row in DIALECTS])
def test_a_provider_is_spoken_to_in_its_dialect(name: str, limit: str, reasoning: str | None, developer: str) -> None:
    chat = ROWS[name].chat
    assert (chat.max_tokens_name, chat.reasoning_field, chat.developer_role) == (limit, reasoning, developer)


def test_only_perplexity_is_not_asked_for_usage() -> None:
    assert [name for name, row in ROWS.items() if not row.chat.stream_options] == ["perplexity"]


@pytest.mark.parametrize(
    "sources",
    [
        *(pytest.param(entry.sources, id=name) for name, entry in CATALOG.providers.items()),
        *(pytest.param(rule.sources, id=f"{index} {rule.rule[:40]}") for index, rule in enumerate(CATALOG.rules)),
        *(pytest.param(row.sources, id=row.budget) for row in CATALOG.budgets),
    ],
)
def test_every_fact_has_its_sources_with_dates(sources: list[str]) -> None:
    assert sources
    assert not [source for source in sources if not re.fullmatch(r"https://.* \(20\d\d(-\d\d){0,2}\)", source)]


@pytest.mark.parametrize("api", BOTH)
@pytest.mark.parametrize("model", OPENAI_MODELS)
def test_either_api_of_openai_and_azure_can_be_asked_for(model: str, api: str) -> None:
    assert {target.api for target in admitted(model, tokenbus={"api": api}).targets} == {api}


def test_the_responses_api_is_used_unless_something_asks_for_the_other() -> None:
    assert {target.api for target in admitted("openai/gpt-4.1").targets} == {"responses"}
    assert {target.api for target in admitted("openai/gpt-4.1", seed=7).targets} == {"chat_completions"}


def test_every_model_has_targets_in_the_table() -> None:
    assert not [name for name, found in TABLE.exact.items() if not found.candidates or isinstance(found, ErrorBody)]
