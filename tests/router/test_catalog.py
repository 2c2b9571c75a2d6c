"""The catalog file: what is accepted, and that every mistake is named with its place."""

import json
from importlib.resources import files
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tokenbus_router.catalog import Catalog, schema_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.yaml_text import parse

PACKAGE = files("tokenbus_router")

GOOD = """\
providers:
  openai:
    base_url: https://api.openai.com/v1
    base_url_env: OPENAI_BASE_URL
    api_key_env: OPENAI_API_KEY
    apis: [responses, chat_completions]
  groq:
    base_url: https://api.groq.com/openai/v1
    pool: shared
models:
  openai/gpt-4.1:
    targets:
      - openai
      - provider: groq
        model: other
        api: chat_completions
    aliases: [small]
  openai/gpt-oss:
    targets: [groq]
    api: chat_completions
  groq/*:
    targets: [groq]
"""


def problems_of(text: str) -> list[CatalogProblem]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(text)
    return list(caught.value.problems)


def schema_problems(data: Any) -> list[str]:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(data)]  # pyright: ignore[reportUnknownMemberType] - stub takes any


def test_a_catalog_with_every_setting_loads() -> None:
    catalog = load_catalog(GOOD)
    assert list(catalog.providers) == ["openai", "groq"]
    assert list(catalog.models) == ["openai/gpt-4.1", "openai/gpt-oss", "groq/*"]


def test_the_published_schema_equals_the_models() -> None:
    assert (PACKAGE / "catalog.schema.json").read_text() == schema_text()


@pytest.mark.parametrize("text", [GOOD, (PACKAGE / "catalog.yaml").read_text()])
def test_good_catalogs_pass_the_published_schema(text: str) -> None:
    assert not schema_problems(yaml.safe_load(text))


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    text = GOOD.replace("https://api.openai.com/v1", "nowhere").replace(
        "targets: [groq]\n    api", "targets: [qroq]\n    api"
    )
    assert [(problem.path, problem.line) for problem in problems_of(text)] == [
        ("providers.openai.base_url", 3),
        ('models["openai/gpt-oss"].targets[0]', 19),
    ]


OPENAI_MODEL = 'models["openai/gpt-4.1"]'

# What is replaced in GOOD, by what; the place that the error must name; words it must hold.
WRONG: list[tuple[str, str, str, str]] = [
    ("providers:\n", "provider:\n", "provider", "did you mean providers?"),
    ("models:\n", "modules:\n", "modules", "did you mean models?"),
    ("    base_url: https://api.groq.com/openai/v1\n", "", "providers.groq.base_url", "is missing"),
    ("    base_url: https://api.groq.com/openai/v1\n", "    base_url: ''\n", "providers.groq.base_url", "is missing"),
    ("https://api.openai.com/v1", "ftp://api.openai.com/v1", "providers.openai.base_url", "must be a URL"),
    ("https://api.openai.com/v1", "https:///v1", "providers.openai.base_url", "must be a URL"),
    ("https://api.openai.com/v1", "https://[::1/v1", "providers.openai.base_url", "is no URL"),
    ("https://api.openai.com/v1", "https://host:port/v1", "providers.openai.base_url", "is no URL"),
    ("https://api.openai.com/v1", "https://a b/v1", "providers.openai.base_url", "must be a URL"),
    ("https://api.openai.com/v1", "https://me:pass@host/v1", "providers.openai.base_url", "no credentials"),
    ("https://api.openai.com/v1", "https://host/v1?key=1", "providers.openai.base_url", "without a slash"),
    ("https://api.openai.com/v1", "https://host/v1#here", "providers.openai.base_url", "without a slash"),
    ("https://api.openai.com/v1", "https://host/v1/", "providers.openai.base_url", "without a slash"),
    ("https://api.openai.com/v1", "7", "providers.openai.base_url", "must be a string"),
    ("https://api.openai.com/v1", "[https://host/v1]", "providers.openai.base_url", "must be a string"),
    ("OPENAI_API_KEY", "sk-proj-abc", "providers.openai.api_key_env", "name of an environment variable"),
    ("OPENAI_BASE_URL", "https://host/v1", "providers.openai.base_url_env", "name of an environment variable"),
    ("[responses, chat_completions]", "[]", "providers.openai.apis", "is empty"),
    ("[responses, chat_completions]", "responses", "providers.openai.apis", "must be a list"),
    ("[responses, chat_completions]", "[respones]", "providers.openai.apis[0]", "'responses' or 'chat_completions'"),
    ("[responses, chat_completions]", "[responses, responses]", "providers.openai.apis", "names an API twice"),
    ("pool: shared", "pool: all of us", "providers.groq.pool", "1 to 64 characters"),
    ("pool: shared", "pool: a.b", "providers.groq.pool", "1 to 64 characters"),
    ("pool: shared", "pools: shared", "providers.groq.pools", "did you mean pool?"),
    ("pool: shared", "colour: blue", "providers.groq.colour", "known here: kind, base_url, base_url_env"),
    ("  groq:\n", "  gr.oq:\n", 'providers["gr.oq"]', "1 to 64 characters"),
    ("  groq:\n", "  openai:\n", "providers.openai", "stands twice, first on line 2"),
    ("      - openai\n", "      - opnai\n", f"{OPENAI_MODEL}.targets[0]", "did you mean openai?"),
    ("      - openai\n", "      - 5\n", f"{OPENAI_MODEL}.targets[0]", "must hold settings"),
    ("      - openai\n", "      - a b\n", f"{OPENAI_MODEL}.targets[0]", "1 to 64 characters"),
    ("provider: groq", "provider: grok", f"{OPENAI_MODEL}.targets[1].provider", "'grok' is not a provider"),
    ("provider: groq", "pool: groq", f"{OPENAI_MODEL}.targets[1].provider", "is missing"),
    (
        "        model: other",
        "        name: other",
        f"{OPENAI_MODEL}.targets[1].name",
        "known here: provider, model, api",
    ),
    ("        model: other", "        model: ''", f"{OPENAI_MODEL}.targets[1].model", "at least 1 character"),
    ("        model: other", "        model: 4.1", f"{OPENAI_MODEL}.targets[1].model", "must be a string"),
    (
        "        api: chat_completions",
        "        api: responses",
        f"{OPENAI_MODEL}.targets[1].api",
        "groq has no responses",
    ),
    ("        api: chat_completions", "        api: chat", f"{OPENAI_MODEL}.targets[1].api", "must be 'responses' or"),
    ("      - openai\n", "      - openai\n      - openai\n", f"{OPENAI_MODEL}.targets[1]", "stands twice"),
    (
        "      - openai\n",
        "      - openai\n      - {provider: openai, model: gpt-4.1}\n",
        f"{OPENAI_MODEL}.targets[1]",
        "stands twice",
    ),
    ("    aliases: [small]", "    aliases: small", f"{OPENAI_MODEL}.aliases", "must be a list"),
    ("    aliases: [small]", "    aliases: [s m]", f"{OPENAI_MODEL}.aliases[0]", "must be letters"),
    ("    aliases: [small]", "    aliases: [a, a]", f"{OPENAI_MODEL}.aliases[1]", "already names openai/gpt-4.1"),
    (
        "    aliases: [small]",
        "    aliases: [openai/gpt-oss]",
        f"{OPENAI_MODEL}.aliases[0]",
        "already names openai/gpt-oss",
    ),
    ("    aliases: [small]", "    alias: [small]", f"{OPENAI_MODEL}.alias", "did you mean aliases?"),
    (
        "    api: chat_completions\n  groq",
        "    api: responses\n  groq",
        'models["openai/gpt-oss"].api',
        "has no responses",
    ),
    (
        "    targets: [groq]\n    api",
        "    targets: [{provider: groq, api: chat_completions}]\n    api",
        'models["openai/gpt-oss"].api',
        "has no effect",
    ),
    ("    targets: [groq]\n    api", "    targets: []\n    api", 'models["openai/gpt-oss"].targets', "is empty"),
    (
        "    targets: [groq]\n    api",
        "    targets: groq\n    api",
        'models["openai/gpt-oss"].targets',
        "must be a list",
    ),
    ("    targets: [groq]\n    api", "    api", 'models["openai/gpt-oss"].targets', "is missing"),
    ("  openai/gpt-oss:", "  gpt-oss:", 'models["gpt-oss"]', "must be <family>/<name>"),
    ("  openai/gpt-oss:", "  openai/gpt oss:", 'models["openai/gpt oss"]', "must be <family>/<name>"),
    ("  openai/gpt-oss:", "  openai/gpt-*:", 'models["openai/gpt-*"]', "must be <family>/<name>"),
    ("  openai/gpt-oss:", "  openai/gpt-4.1:", OPENAI_MODEL, "stands twice, first on line 11"),
    ("  openai/gpt-oss:", "  7:", "models", "put it in quotes"),
    ("  groq/*:", "  groq/llama/*:", 'models["groq/llama/*"]', "must be <family>/*"),
    ("  groq/*:", "  '*':", 'models["*"]', "must be <family>/<name>"),
    (
        "  groq/*:\n    targets: [groq]",
        "  groq/*:\n    targets: [{provider: groq, model: x}]",
        'models["groq/*"].targets[0].model',
        "has no effect",
    ),
    ("  groq/*:\n", "  groq/*:\n    aliases: [g]\n", 'models["groq/*"].aliases[0]', "has no effect"),
    ("  groq/*:\n    targets: [groq]\n", "  groq/*:\n", 'models["groq/*"]', "must hold settings"),
    (
        "base_url: https://api.openai.com/v1",
        "base_url: &u https://api.openai.com/v1\n    pool: *u",
        "providers.openai.pool",
        "alias",
    ),
    ("pool: shared", "<<: {pool: shared}", "providers.groq", "has a key that is no text"),
    ("pool: shared", "pool: !!binary c2hhcmVk", "providers.groq.pool", "YAML tag 'binary'"),
    ("pool: shared", "pool: !ours shared", "providers.groq.pool", "YAML tag '!ours'"),
    ("pool: shared", "pool: shared\n---\nmore: 1", "catalog", "is not YAML"),
    ("pool: shared", "pool: [", "catalog", "is not YAML"),
    ("pool: shared", "pool: a\tb: c", "catalog", "is not YAML"),
]


@pytest.mark.parametrize(("old", "new", "path", "words"), WRONG, ids=[f"{row[2]} {row[3]}" for row in WRONG])
def test_a_mistake_is_named_with_its_place_and_what_to_do(old: str, new: str, path: str, words: str) -> None:
    assert GOOD.count(old) == 1, "the row must change exactly one place"
    found = {problem.path or "catalog": problem for problem in problems_of(GOOD.replace(old, new))}
    assert path in found, f"named instead: {sorted(found)}"
    assert words in found[path].text
    assert found[path].line is not None


DEEP = [
    "[" * 100_000 + "]" * 100_000,
    "{a: " * 5_000 + "1" + "}" * 5_000,
    "providers: {x: {base_url: http://h/v1, body: " + "{a: " * 300 + "1" + "}" * 300 + "}}",
    "".join(f"{' ' * level}a:\n" for level in range(1_000)),
]


@pytest.mark.parametrize("text", DEEP, ids=["lists", "objects", "a body", "blocks"])
def test_a_file_that_is_nested_without_end_is_refused(text: str) -> None:
    [problem] = problems_of(text)
    assert "is nested over 50 levels deep" in problem.text
    assert problem.line is not None


@pytest.mark.parametrize("number", ["010", "1:30", "1_000", "0x10", "0b11", "0o17"])
def test_a_number_that_yaml_reads_in_another_way_than_people_is_refused(number: str) -> None:
    text = f"providers:\n  lab: {{base_url: http://h/v1, connect_timeout_s: {number}}}\n"
    [problem] = problems_of(text)
    assert problem.path == "providers.lab.connect_timeout_s"
    assert problem.line == 2


@pytest.mark.parametrize("number", ["10", "1.5", "0.5", ".5", "2.5e+1"])
def test_a_plain_number_is_taken(number: str) -> None:
    text = f"providers:\n  lab: {{base_url: http://h/v1, connect_timeout_s: {number}}}\n"
    assert load_catalog(text).providers["lab"].connect_timeout_s == float(number)


@pytest.mark.parametrize("name", ["max_tokens", "prompt_cache_key", "top_k", "keyword", "tokenizer"])
def test_what_only_sounds_like_a_credential_is_taken(name: str) -> None:
    load_catalog(f"providers:\n  lab: {{base_url: http://h/v1, body: {{{name}: x}}}}\n")


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "text", "{}", "\x00"])
def test_a_file_that_is_no_catalog_at_all_is_refused(text: str) -> None:
    assert problems_of(text)


@pytest.mark.parametrize("secret", ["sk-proj-abc123", "https://me:sk-proj-abc123@host/v1"])
@pytest.mark.parametrize("setting", ["base_url", "base_url_env", "api_key_env"])
def test_a_key_pasted_into_the_catalog_is_not_quoted_in_the_error(setting: str, secret: str) -> None:
    provider = {"base_url": "https://host/v1", setting: secret}
    text = yaml.safe_dump({"providers": {"p": provider}, "models": {"p/*": {"targets": ["p"]}}})
    assert "abc123" not in "\n".join(map(str, problems_of(text)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """GOOD with one value somewhere replaced by any other, as text."""
    data = yaml.safe_load(GOOD)
    path = draw(st.sampled_from([path for path in parse(GOOD).lines if path]))
    holder = data
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = draw(json_values)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def outcome(text: str) -> Catalog | tuple[CatalogProblem, ...]:
    try:
        return load_catalog(text)
    except CatalogError as error:
        return error.problems


@given(mangled())
def test_any_replaced_value_gives_a_valid_catalog_or_problems_with_their_places(text: str) -> None:
    match outcome(text):
        case Catalog():
            assert not schema_problems(yaml.safe_load(text))
        case problems:
            assert problems
            assert all(problem.text and problem.line is not None for problem in problems)


@given(st.text(max_size=60))
def test_any_text_gives_a_catalog_error_and_nothing_else(text: str) -> None:
    with pytest.raises(CatalogError):
        load_catalog(text)


def test_the_schema_describes_every_setting() -> None:
    schema = Catalog.model_json_schema()
    forms = [schema, *schema["$defs"].values()]
    settings = [(form["title"], name, spec) for form in forms for name, spec in form["properties"].items()]
    assert not [(title, name) for title, name, spec in settings if "description" not in spec]
