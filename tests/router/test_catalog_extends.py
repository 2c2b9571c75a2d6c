"""Catalogs that build on the default one, and entries that need few lines."""

import pytest
import yaml

from tokenbus_router.catalog import ModelEntry
from tokenbus_router.catalog_default import default_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.routing_table import compile_table, model_list, provider_table

DEFAULT = load_catalog(default_text())


def problems_of(text: str) -> list[CatalogProblem]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(text)
    return list(caught.value.problems)


def served_by(text: str, model: str) -> list[str]:
    found = compile_table(load_catalog(text)).find(model)
    assert found is not None
    return [f"{one.provider}:{next(iter(one.targets.values())).model}" for one in found.candidates]


THREE_LINES = """\
extends: default
providers:
  ollama: { base_url: http://localhost:11434/v1 }
"""


def test_any_compatible_endpoint_is_an_entry_of_three_lines() -> None:
    assert served_by(THREE_LINES, "ollama/llama3.1") == ["ollama:llama3.1"]
    assert served_by(THREE_LINES, "openai/gpt-4.1") == ["azure:gpt-4.1", "openai:gpt-4.1"]
    row = next(row for row in provider_table(load_catalog(THREE_LINES)).providers if row.name == "ollama")
    assert (row.base_url, row.api_key_env, row.apis) == ("http://localhost:11434/v1", None, ("chat_completions",))
    assert (row.chat.max_tokens_name, row.chat.developer_role) == ("max_tokens", "system")


def test_a_provider_that_models_name_is_not_opened_for_all_its_models() -> None:
    text = THREE_LINES + "models:\n  home/llama: { targets: [{ provider: ollama, model: llama3.1 }] }\n"
    assert served_by(text, "home/llama") == ["ollama:llama3.1"]
    assert compile_table(load_catalog(text)).find("ollama/llama3.1") is None


def test_an_entry_of_the_same_name_replaces_settings_and_keeps_the_others() -> None:
    azure = "azure: { api_version: 2025-04-01-preview, chat: { reasoning_field: reasoning } }"
    text = f"extends: default\nproviders:\n  {azure}\n"
    entry, before = load_catalog(text).providers["azure"], DEFAULT.providers["azure"]
    assert entry.api_version == "2025-04-01-preview"
    assert (entry.kind, entry.api_key_env, entry.apis) == (before.kind, before.api_key_env, before.apis)
    assert (entry.chat.reasoning_field, entry.chat.max_tokens_name) == ("reasoning", "max_completion_tokens")


def test_targets_and_aliases_of_a_model_can_be_changed() -> None:
    text = "extends: default\nmodels:\n  openai/gpt-4.1: { targets: [openai], aliases: [large] }\n"
    assert served_by(text, "large") == served_by(text, "openai/gpt-4.1") == ["openai:gpt-4.1"]
    text = "extends: default\nmodels:\n  openai/gpt-4.1: { aliases: [large] }\n"
    assert served_by(text, "large") == ["azure:gpt-4.1", "openai:gpt-4.1"]


def test_null_removes_an_entry() -> None:
    text = "extends: default\nmodels:\n  openai/*: null\n  openai/gpt-5:\n"
    table = compile_table(load_catalog(text))
    assert table.find("openai/anything") is None
    assert table.find("openai/gpt-5") is None
    assert table.find("openai/gpt-5.1") is not None


def test_rules_of_the_file_go_before_those_of_the_default() -> None:
    own = "rules:\n  - { rule: ours, models: [gpt-5-tuned], take: [temperature] }\n"
    catalog = load_catalog("extends: default\n" + own)
    assert [rule.rule for rule in catalog.rules] == ["ours", *(rule.rule for rule in DEFAULT.rules)]


def test_a_catalog_that_stands_alone_knows_the_rules_about_models_too() -> None:
    catalog = load_catalog("providers:\n  lab: { base_url: https://lab.example/v1 }\n")
    assert catalog.rules == DEFAULT.rules
    own = load_catalog("providers:\n  lab: { base_url: https://lab.example/v1 }\nrules: []\n")
    assert own.rules == []


def test_what_a_file_comes_to_can_be_loaded_again() -> None:
    catalog = load_catalog(THREE_LINES)
    written = yaml.safe_dump(catalog.model_dump(mode="json", exclude_unset=True, exclude_none=True), sort_keys=False)
    assert model_list(load_catalog(written)) == model_list(catalog)
    assert provider_table(load_catalog(written)) == provider_table(catalog)


BROKEN: list[tuple[str, str, str, bool]] = [
    # what follows `extends: default`; the place; words; whether the place is in the default catalog
    ("models:\n  openai/gpt-9: null\n", 'models["openai/gpt-9"]', "removes nothing", False),
    ("providers:\n  nobody: null\n", "providers.nobody", "removes nothing", False),
    ("providers:\n  groq: null\n", 'models["openai/gpt-oss-120b"].targets[1].provider', "'groq' is not a", True),
    ("models:\n  a/b: { targets: [openai], aliases: [openai/gpt-5] }\n", 'models["a/b"].aliases[0]', "already", False),
    ("providers:\n  openai: { apis: [responses], chat: {} }\n", "providers.openai.chat", "has no effect", False),
    ("providers:\n  groq: 5\n", "providers.groq", "must hold settings", False),
    ("providers: []\n", "providers", "must hold settings", False),
    ("models: 5\n", "models", "must hold settings", False),
    ("rules: {}\n", "rules", "must be a list", False),
    ("providers:\n  azure: { base_url_env: null }\n", "providers.azure.base_url", "is missing", False),
    ("providers:\n  new: {}\n", "providers.new.base_url", "is missing", False),
    ("models:\n  new/x: { aliases: [y] }\n", 'models["new/x"].targets', "is missing", False),
    ("providers:\n  groq: { base_url: ftp://x }\n", "providers.groq.base_url", "must be a URL", False),
    (
        "models:\n  groq/*: null\n  openai/gpt-oss-120b: { targets: [baseten] }\n  groq/x: { targets: [xai] }\n",
        "",
        "",
        False,
    ),
]


@pytest.mark.parametrize(("rest", "path", "words", "inherited"), BROKEN, ids=[row[0][:50] for row in BROKEN])
def test_a_mistake_is_named_with_the_file_it_stands_in(rest: str, path: str, words: str, inherited: bool) -> None:
    text = "extends: default\n" + rest
    if not path:
        assert load_catalog(text)
        return
    found = {problem.path: problem for problem in problems_of(text)}
    assert path in found, f"named instead: {sorted(found)}"
    assert words in found[path].text
    assert found[path].inherited is inherited
    assert (found[path].line is None) is inherited
    assert ("of the default catalog" in str(found[path])) is inherited


@pytest.mark.parametrize("name", ["defaults", "other.yaml", "5", "true", "[default]"])
def test_only_the_default_can_be_extended(name: str) -> None:
    paths = [problem.path for problem in problems_of(f"extends: {name}\n{THREE_LINES.partition(chr(10))[2]}")]
    assert paths == ["extends"]


def test_a_provider_without_effect_is_named() -> None:
    text = THREE_LINES + "models:\n  ollama/*: { targets: [openai] }\n"
    (problem,) = problems_of(text)
    assert problem.path == "providers.ollama"
    assert "ollama/* names others" in problem.text


def test_patterns_that_were_made_are_entries_like_any_other() -> None:
    assert load_catalog(THREE_LINES).models["ollama/*"] == ModelEntry(targets=["ollama"])
