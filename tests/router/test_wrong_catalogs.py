"""Generated wrong catalogs: each setting with each kind of wrong value, and mistakes in what settings mean together."""

import copy
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from tokenbus_router.catalog import (
    BudgetEntry,
    Catalog,
    ChatDialectEntry,
    ModelEntry,
    ProviderEntry,
    ResponsesDialectEntry,
    RuleEntry,
    TargetEntry,
)
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.yaml_text import Path, show_path

GOOD: dict[str, Any] = {
    "providers": {
        "openai": {
            "base_url": "https://api.openai.com/v1",
            "base_url_env": "OPENAI_BASE_URL",
            "api_key_env": "OPENAI_API_KEY",
            "auth": "bearer",
            "headers": {"X-Title": "tokenbus"},
            "header_env": {"OpenAI-Organization": "OPENAI_ORG_ID"},
            "query": {"region": "eu"},
            "body": {"provider": {"order": ["a"]}},
            "apis": ["responses", "chat_completions"],
            "pool": "shared",
            "chat": {
                "max_tokens_name": "max_tokens",
                "reasoning_field": "reasoning",
                "developer_role": "system",
                "stream_options": {},
            },
            "responses": {
                "chat_parameters": ["stop"],
                "keeps_plain_reasoning": True,
                "min_output_tokens": 1,
                "background": True,
            },
            "connect_timeout_s": 5.0,
            "first_event_timeout_s": 30,
            "event_gap_timeout_s": 30.0,
            "max_concurrent": 50,
            "sources": ["https://example.org (2026-11-22)"],
        },
        "azure": {"kind": "azure", "base_url_env": "AZURE_OPENAI_ENDPOINT", "api_version": "2025-04-01-preview"},
    },
    "models": {
        "openai/gpt-5": {
            "targets": [
                "azure",
                {
                    "provider": "openai",
                    "model": "gpt-5-tuned",
                    "api": "responses",
                    "weight": 2.0,
                    "first_event_timeout_s": 90.0,
                    "event_gap_timeout_s": 9.0,
                },
            ],
            "aliases": ["large"],
            "api": "chat_completions",
            "strategy": "weighted",
        },
        "openai/*": {"targets": ["openai"]},
    },
    "rules": [
        {
            "rule": "they think",
            "models": ["gpt-5"],
            "providers": ["openai"],
            "api": "responses",
            "given": ["tools"],
            "when": {"reasoning_effort": ["none"]},
            "take": ["seed"],
            "refuse": ["temperature"],
            "values": {"verbosity": ["low"]},
            "sources": ["https://example.org (2026-11-22)"],
        }
    ],
    "budgets": [
        {
            "budget": "they think in silence",
            "models": ["gpt-5"],
            "providers": ["openai"],
            "first_event_timeout_s": 300,
            "event_gap_timeout_s": 300.0,
            "sources": ["https://example.org (2026-11-22)"],
        }
    ],
}
TARGET: Path = ("models", "openai/gpt-5", "targets", 1)
FORMS: list[tuple[Path, type[BaseModel]]] = [
    ((), Catalog),
    (("providers", "openai"), ProviderEntry),
    (("providers", "openai", "chat"), ChatDialectEntry),
    (("providers", "openai", "responses"), ResponsesDialectEntry),
    (("models", "openai/gpt-5"), ModelEntry),
    (TARGET, TargetEntry),
    (("rules", 0), RuleEntry),
    (("budgets", 0), BudgetEntry),
]
JSON_TYPES: dict[str, Any] = {
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "string": "x y",
    "array": [[1]],
    "object": {"a": [1]},
}


def at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def changed(path: Path, value: object) -> str:
    data = copy.deepcopy(GOOD)
    at(data, path[:-1])[path[-1]] = value
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def taken_types(spec: dict[str, Any]) -> set[str]:
    """The JSON types that a setting takes. A word that must be of a list, or fit a pattern, takes no other string."""
    found: set[str] = set()
    for part in spec.get("anyOf", [spec]):
        if "$ref" in part or part.get("type") == "object":
            found.add("object")
        elif part.get("type") == "string" and not {"enum", "pattern", "const"} & part.keys():
            found.add("string")
        elif part.get("type") not in ("string", "null"):
            found.add(part["type"])
    return found | {"integer"} if "number" in found else found


def generated() -> list[tuple[Path, Any]]:
    cases: list[tuple[Path, Any]] = []
    for path, form in FORMS:
        cases.append(((*path, "colour"), "blue"))
        for name, spec in form.model_json_schema()["properties"].items():
            place = (*path, name)
            types = taken_types(spec)
            # An object of any keys, or a list of any words, is wrong only in what it holds.
            cases += [(place, value) for kind, value in JSON_TYPES.items() if kind not in types]
            if types == {"array"}:
                cases += [(place, [5]), (place, [None])]
    return cases


CASES = generated()

MEANING: list[tuple[Path, Any, str]] = [
    # where, what, words of the error
    (("providers", "openai", "kind"), "azure ", "'openai' or 'azure'"),
    (("providers", "openai", "api_version"), "2025-04-01", "only `kind: azure` has versions"),
    (("providers", "azure", "auth"), "api-key", "without a key"),
    (("providers", "azure", "base_url"), "https://x.openai.azure.com/", "without a slash"),
    (("providers", "azure", "chat"), {"colour": 1}, "colour"),
    (("providers", "azure", "responses"), {"min_output_tokens": 5}, "apis does not name responses"),
    (("providers", "openai", "headers"), {"Authorization": "x"}, "must hold no credentials"),
    (("providers", "openai", "headers"), {"api-key": "x"}, "must hold no credentials"),
    (("providers", "openai", "headers"), {"x-goog-api-key": "x"}, "must hold no credentials"),
    (("providers", "openai", "headers"), {"X-Auth-Token": "x"}, "must hold no credentials"),
    (("providers", "openai", "headers"), {"Content-Type": "text/plain"}, "every request says itself"),
    (("providers", "openai", "header_env"), {"Host": "A_HOST"}, "every request says itself"),
    (("providers", "openai", "query"), {"key": "x"}, "must hold no credentials"),
    (("providers", "openai", "body"), {"api_key": "x"}, "must hold no credentials"),
    (("providers", "openai", "headers"), {"X Title": "x"}, "is no header name"),
    (("providers", "openai", "headers"), {"X-Title": "x\ny"}, "one line of plain ASCII"),
    (("providers", "openai", "headers"), {"X-Title": "é"}, "one line of plain ASCII"),
    (("providers", "openai", "headers"), {"X-Title": "a", "x-title": "b"}, "is set twice"),
    (("providers", "openai", "header_env"), {"X-Title": "OPENAI_TITLE"}, "is set twice"),
    (("providers", "openai", "header_env"), {"X-Key": "sk-abc"}, "never the key or address itself"),
    (("providers", "openai", "body"), {"model": "x"}, "every request says itself"),
    (("providers", "openai", "body"), {"stream": False}, "every request says itself"),
    (("providers", "openai", "responses"), {"chat_parameters": ["temperature"]}, "no parameter that only Chat has"),
    (("providers", "openai", "responses"), {"chat_parameters": ["stop", "stop"]}, "stands twice"),
    (("providers", "openai", "responses"), {"min_output_tokens": 0}, "greater than or equal to 1"),
    (("providers", "openai", "chat"), {"max_tokens_name": "limit"}, "'max_completion_tokens' or 'max_tokens'"),
    (("providers", "openai", "chat"), {"developer_role": "boss"}, "'developer' or 'system'"),
    (("providers", "openai", "connect_timeout_s"), 0, "greater than 0"),
    (("providers", "openai", "connect_timeout_s"), float("inf"), "finite"),
    (("providers", "openai", "event_gap_timeout_s"), 1e9, "less than or equal to"),
    (("providers", "openai", "max_concurrent"), 0, "greater than or equal to 1"),
    (("providers", "azure", "pool"), "shared", "needs a queue of its own, but azure has pool shared, too"),
    (("models", "openai/gpt-5", "strategy"), "ordered", "without `strategy: weighted`"),
    (("models", "openai/gpt-5", "targets"), ["openai"], "there is one target"),
    ((*TARGET, "weight"), 0, "greater than 0"),
    ((*TARGET, "weight"), -1, "greater than 0"),
    (("models", "openai/*", "strategy"), "least_latency", "there is one target"),
    (("models", "openai/gpt-5", "strategy"), "best", "'weighted' or 'least_latency'"),
    (("rules", 0), {"rule": "nothing"}, "says nothing"),
    (("rules", 0), {"rule": "", "take": ["n"]}, "at least 1 character"),
    (("rules", 0), {"take": ["n"]}, "is missing"),
    (("rules", 0, "take"), ["temprature"], "did you mean temperature?"),
    (("rules", 0, "refuse"), ["max_completion_tokens"], "is no parameter"),
    (("rules", 0, "given"), ["nothing"], "is no parameter"),
    (("rules", 0, "take"), ["temperature"], "stands twice in this rule"),
    (("rules", 0, "refuse"), ["seed"], "stands twice in this rule"),
    (("rules", 0, "values"), {"temperature": ["1"]}, "has no values that rules know"),
    (("rules", 0, "when"), {"temperature": ["1"]}, "has no values that rules know"),
    (("rules", 0, "values"), {"verbosity": []}, "add a value"),
    (("rules", 0, "when"), {"reasoning_effort": []}, "add a value"),
    (("rules", 0, "when"), {"effort": ["none"]}, "is no parameter"),
    (("rules", 0, "models"), [], "is empty"),
    (("rules", 0, "models"), ["openai/gpt-5"], "without slash and star"),
    (("rules", 0, "models"), ["gpt-*"], "without slash and star"),
    (("rules", 0, "models"), [""], "without slash and star"),
    (("rules", 0, "providers"), [], "is empty"),
    (("rules", 0, "providers"), ["opnai"], "did you mean openai?"),
    (("rules", 0, "providers"), ["azure"], "none of its providers has responses"),
]


def problems_of(text: str) -> list[CatalogProblem]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(text)
    return list(caught.value.problems)


def test_there_are_hundreds_of_wrong_catalogs() -> None:
    assert len(CASES) + len(MEANING) >= 200


def test_the_catalog_that_they_are_made_of_is_good() -> None:
    catalog = load_catalog(yaml.safe_dump(GOOD, sort_keys=False))
    assert {name for path, form in FORMS for name in form.model_fields if path} <= {
        name for path, _ in FORMS for name in at(GOOD, path)
    } | {"kind", "api_version"}
    assert list(catalog.providers) == ["openai", "azure"]


@pytest.mark.parametrize(("path", "value"), CASES, ids=[f"{show_path(path)} {value}" for path, value in CASES])
def test_a_wrong_value_is_refused_with_its_place_and_line(path: Path, value: Any) -> None:
    found = problems_of(changed(path, value))
    assert any(problem.path.startswith(show_path(path)) for problem in found), [str(problem) for problem in found]
    assert all(problem.line is not None for problem in found)


@pytest.mark.parametrize(("path", "value", "words"), MEANING, ids=[f"{show_path(row[0])} {row[1]}" for row in MEANING])
def test_what_settings_do_not_mean_together_is_refused(path: Path, value: Any, words: str) -> None:
    found = problems_of(changed(path, value))
    assert any(words in str(problem) for problem in found), [str(problem) for problem in found]
    assert all(problem.line is not None for problem in found)


OVERRULED: list[tuple[dict[str, Any], bool]] = [
    ({"models": ["gpt-5"], "refuse": ["temperature"]}, False),
    ({"refuse": ["temperature"]}, False),
    ({"models": ["gpt-5-mini"], "providers": ["openai"], "refuse": ["temperature"]}, False),
    ({"models": ["gpt-5-mini"], "providers": ["openai"], "api": "responses", "refuse": ["temperature"]}, False),
    ({**GOOD["rules"][0], "models": ["gpt-5-mini"]}, True),
    ({**GOOD["rules"][0], "given": ["tools", "n"]}, True),
    ({**GOOD["rules"][0], "refuse": ["top_p"], "take": ["n"], "values": {}}, False),
]


@pytest.mark.parametrize(("second", "is_overruled"), OVERRULED)
def test_a_rule_that_never_counts_is_refused(second: dict[str, Any], is_overruled: bool) -> None:
    rules = [GOOD["rules"][0], copy.deepcopy({**second, "rule": "the second"})]
    text = yaml.safe_dump({**GOOD, "rules": rules}, sort_keys=False)
    if is_overruled:
        assert any("rules[0] counts first" in problem.text for problem in problems_of(text))
    else:
        assert len(load_catalog(text).rules) == 2
