"""The catalog and the parameters as Markdown tables, for the documentation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from tokenbus_router.catalog import PATTERN_END, Catalog, ChatDialectEntry, ProviderEntry, RuleEntry, targets_of
from tokenbus_router.parameters import PARAMETERS, PARTS, Parameter
from tokenbus_router.request_checks import FIELDS
from tokenbus_schemas.requests import ChatRequest

_API_NAMES: Final = {"responses": "Responses", "chat_completions": "Chat Completions"}


def providers_table(catalog: Catalog) -> str:
    """How each provider is reached and spoken to."""
    rows = [
        (
            f"`{name}`",
            entry.base_url or "the resource's endpoint",
            _code(entry.base_url_env),
            _code(entry.api_key_env),
            ", ".join(_API_NAMES[api] for api in entry.apis),
            _dialect(entry),
        )
        for name, entry in catalog.providers.items()
    ]
    heads = ("provider", "base URL", "replaced by", "key", "APIs", "in its Chat Completions")
    return _table(heads, rows)


def models_table(catalog: Catalog) -> str:
    """Who serves which model."""
    rows = [
        (f"`{name}`", ", ".join(target.provider for target in targets_of(entry)))
        for name, entry in catalog.models.items()
        if not name.endswith(PATTERN_END)
    ]
    return _table(("model ID", "providers, in order"), rows)


def rules_table(catalog: Catalog) -> str:
    """Which parameters models take."""
    rows = [(_scope(rule), _verdict(rule), rule.rule, _links(rule.sources)) for rule in catalog.rules]
    return _table(("about", "says", "because", "sources"), rows)


def budgets_table(catalog: Catalog) -> str:
    """How long models may keep silent, in seconds."""
    rows = [
        (
            ", ".join([*(f"`{model}…`" for model in row.models), *(f"at {provider}" for provider in row.providers)]),
            _seconds(row.first_event_timeout_s),
            _seconds(row.event_gap_timeout_s),
            row.budget,
            _links(row.sources),
        )
        for row in catalog.budgets
    ]
    return _table(("about", "first event", "between events", "because", "sources"), rows)


def parameters_table() -> str:
    """The parameters of a request."""
    fields: Mapping[str, Any] = ChatRequest.model_json_schema()["properties"]
    rows = [
        (
            f"`{parameter.name}`",
            _form(parameter, fields=fields),
            ", ".join(f"`{place}`" for place in parameter.places),
            "both" if parameter.only is None else f"{_API_NAMES[parameter.only]} only",
            "no" if parameter.drop is None else "yes",
        )
        for parameter in (*PARAMETERS, *PARTS)
    ]
    return _table(("name in rules", "form", "fields of a request", "APIs", "can be dropped"), rows)


def tools_table() -> str:
    """What is checked of provider tools."""
    rows = [
        (f"`{field.tools}`", f"`{field.name}`", field.wanted, "yes" if field.required else "", _links([field.source]))
        for field in FIELDS
    ]
    return _table(("tool", "field", "form", "required", "source"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g} s"


def _code(text: str | None) -> str:
    return "" if text is None else f"`{text}`"


def _dialect(entry: ProviderEntry) -> str:
    usual = ChatDialectEntry()
    chat = entry.chat
    said = [f"`{chat.max_tokens_name}`"]
    if chat.reasoning_field is not None:
        said.append(f"earlier reasoning as `{chat.reasoning_field}`")
    if chat.developer_role != usual.developer_role:
        said.append(f"role `{chat.developer_role}`")
    if not chat.stream_options:
        said.append("no `stream_options`")
    return ", ".join(said)


def _scope(rule: RuleEntry) -> str:
    said = [f"`{model}…`" for model in rule.models]
    said += [f"at {provider}" for provider in rule.providers]
    if rule.api is not None:
        said.append(f"in {_API_NAMES[rule.api]}")
    said += [f"with {name}" for name in rule.given]
    said += [f"with {name} {' or '.join(values)}" for name, values in rule.when.items()]
    return ", ".join(said) or "all models"


def _verdict(rule: RuleEntry) -> str:
    said = [f"not `{name}`" for name in rule.refuse]
    said += [f"`{name}`" for name in rule.take]
    said += [f"`{name}` only {', '.join(values)}" for name, values in rule.values.items()]
    return ", ".join(said)


def _links(sources: Iterable[str]) -> str:
    return "; ".join(sources)


def _form(parameter: Parameter, *, fields: Mapping[str, Any]) -> str:
    """Type and range, as the schema of requests has them; parts of tools and input have none."""
    field = parameter.places[0]
    if parameter not in PARAMETERS or field not in fields or field in ("tools", "functions", "include", "text"):
        return "a part of the request"
    parts = cast("list[Mapping[str, Any]]", fields[field].get("anyOf", [fields[field]]))
    return " or ".join(_type(part) for part in parts if part.get("type") != "null")


def _type(part: Mapping[str, Any]) -> str:
    kind = " or ".join(part["enum"]) if "enum" in part else str(part.get("type", "object"))
    low, high = part.get("minimum", part.get("minItems")), part.get("maximum", part.get("maxItems"))
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    if low is not None:
        return f"{kind}, at least {low}"
    most = high if high is not None else part.get("maxLength", part.get("maxProperties"))
    return kind if most is None else f"{kind}, at most {most}"
