"""The catalog file: which providers exist, which models they serve, and which parameters those take.

    extends: default                       # on top of the catalog that ships with the router
    providers:
      openai:                              # a provider; executors read its key from the environment
        base_url: https://api.openai.com/v1
        api_key_env: OPENAI_API_KEY
        apis: [responses, chat_completions]
    models:
      openai/gpt-4.1-mini:                 # a model ID, as requests name it
        targets: [openai]                  # providers in the order in which to try them
        aliases: [small]
      openai/*:                            # every other model of the family
        targets: [openai]
    rules:
      - rule: reasoning models sample as they like
        models: [o3, gpt-5]                # beginnings of model names
        refuse: [temperature, top_p]
    budgets:
      - budget: our tuned models think in silence
        models: [o3-tuned]
        first_event_timeout_s: 300

These classes are the shape of the file, and its published JSON Schema; what the parts must mean together is checked in
`catalog_rules.py`, and requests are routed by the table compiled in `routing_table.py`.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from tokenbus_schemas.requests import Api
from tokenbus_schemas.subjects import TOKEN_PATTERN
from tokenbus_schemas.work import ChatDialectRow, ResponsesDialectRow, Strategy

PATTERN_END: Final = "/*"
"""A model ID that ends so stands for every model of the family before it."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True)

Name = Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")]
EnvironmentName = Annotated[str, Field(pattern="^[A-Z_][A-Z0-9_]{0,127}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Source = Annotated[str, Field(min_length=1)]


class ChatDialectEntry(ChatDialectRow):
    """How a provider's Chat Completions differ from what every compatible server understands."""

    model_config = _STRICT

    # Not OpenAI's own dialect: it is younger than many a server, and an unknown name of a limit is often ignored.
    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_tokens", description="Its name of the limit of output tokens."
    )
    developer_role: Literal["developer", "system"] = Field(
        default="system", description="Its role of a developer message."
    )


class ResponsesDialectEntry(ResponsesDialectRow):
    """How a provider's Responses API differs from OpenAI's."""

    model_config = _STRICT

    chat_parameters: list[str] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - YAML has no tuples
        default=[], description="Chat-only parameters that it takes all the same."
    )


class ProviderEntry(BaseModel):
    """Who serves models: where its API is and which environment variable of the executors holds its key."""

    model_config = _STRICT

    kind: Literal["openai", "azure"] = Field(
        default="openai", description="Whose addresses and credentials it uses; compatible servers use OpenAI's."
    )
    base_url: str = Field(
        default="",
        description="Where the API is, with the version path: https://api.openai.com/v1; azure: the resource's "
        "endpoint. Left out: only base_url_env knows.",
    )
    base_url_env: EnvironmentName | None = Field(
        default=None, description="Environment variable of the executors that replaces base_url, where it is set."
    )
    api_version: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="azure: the api-version of its dated API; left out: its v1 API, which needs none."
    )
    api_key_env: EnvironmentName | None = Field(
        default=None,
        description="Environment variable of the executors that holds the key; left out: no key is needed.",
    )
    auth: Literal["bearer", "api-key"] | None = Field(
        default=None,
        description="How the key is sent: `Authorization: Bearer` or `api-key`; left out: as is usual for the kind.",
    )
    headers: dict[str, str] = Field(
        default={}, description="Headers of every request, such as HTTP-Referer; no secrets."
    )
    header_env: dict[str, EnvironmentName] = Field(
        default={},
        description="Header to the environment variable of the executors that holds its value; not sent where unset.",
    )
    query: dict[str, str] = Field(default={}, description="Query parameters of every request.")
    body: dict[str, Any] = Field(
        default={}, description="Fields of every request body, unless the request has them itself."
    )
    apis: Annotated[list[Api], Field(min_length=1)] = Field(
        default=["chat_completions"], description="The APIs it has, preferred first."
    )
    pool: Name | None = Field(
        default=None, description="The work queue whose executors serve it; left out: one of the provider's own name."
    )
    chat: ChatDialectEntry = Field(
        default=ChatDialectEntry.model_construct(), description="Its dialect of Chat Completions."
    )
    responses: ResponsesDialectEntry = Field(
        default=ResponsesDialectEntry.model_construct(), description="Its dialect of the Responses API."
    )
    connect_timeout_s: Seconds | None = Field(
        default=None, description="Seconds to connect; left out: the executors' setting."
    )
    first_event_timeout_s: Seconds | None = Field(
        default=None, description="Seconds to the first useful event; left out: the executors' setting."
    )
    event_gap_timeout_s: Seconds | None = Field(
        default=None, description="Seconds between useful events; left out: the executors' setting."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description="How many answers it may give at once, over all executors; further requests wait in its queue. "
        "Left out: no limit.",
    )
    sources: list[Source] = Field(default=[], description="Where these facts are from, and when; for readers.")


class TargetEntry(BaseModel):
    """One place that serves a model."""

    model_config = _STRICT

    provider: Name = Field(description="A provider of this catalog.")
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="The provider's name of the model; left out: the model ID after its first slash."
    )
    api: Api | None = Field(
        default=None, description="The only API to use here; left out: the entry's, else the best one."
    )
    weight: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="Strategy weighted: its share of the requests, relative to the others; left out: 1."
    )
    first_event_timeout_s: Seconds | None = Field(
        default=None,
        description="Seconds to the first useful event, for a model that thinks in silence; left out: the provider's.",
    )
    event_gap_timeout_s: Seconds | None = Field(
        default=None, description="Seconds between useful events; left out: the provider's."
    )


def _kind_of_target(value: object) -> str:
    return "provider" if isinstance(value, str) else "target"


TargetForm = Annotated[
    Annotated[Name, Tag("provider")] | Annotated[TargetEntry, Tag("target")], Discriminator(_kind_of_target)
]
"""A target written out, or just the name of its provider."""


class ModelEntry(BaseModel):
    """A model ID, or a pattern such as `openai/*`, and who serves it."""

    model_config = _STRICT

    targets: Annotated[list[TargetForm], Field(min_length=1)] = Field(
        description="Who serves it, in the order in which to try them; a provider's name is short for its target."
    )
    aliases: list[str] = Field(default=[], description="Further IDs of the same model.")
    api: Api | None = Field(default=None, description="The only API to use for this model; left out: the best one.")
    strategy: Strategy | None = Field(
        default=None,
        description="Which target is tried first. ordered: the first; weighted: by lot; least_latency: the one whose "
        "first events come soonest. Left out: ordered.",
    )


class RuleEntry(BaseModel):
    """Which parameters certain models take. For each parameter the first rule counts that is about it and holds."""

    model_config = _STRICT

    rule: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="Why, as half a sentence: whoever is refused reads it."
    )
    models: list[str] = Field(
        default=[], description="Beginnings of the names (after the last slash) of the models; left out: all models."
    )
    providers: list[str] = Field(default=[], description="Where they are served; left out: everywhere.")
    api: Api | None = Field(default=None, description="The API in which it holds; left out: both.")
    given: list[str] = Field(default=[], description="Holds only for requests that have all of these parameters.")
    when: dict[str, list[str]] = Field(
        default={}, description="Holds only for requests in which each of these parameters has one of these values."
    )
    take: list[str] = Field(default=[], description="Parameters that are taken: exceptions from later rules.")
    refuse: list[str] = Field(default=[], description="Parameters that are not taken.")
    values: dict[str, list[str]] = Field(default={}, description="Parameters of which only these values are taken.")
    sources: list[Source] = Field(default=[], description="Where this is from, and when; for readers.")


class BudgetEntry(BaseModel):
    """How long certain models may keep silent. The first row about the model counts, for each of the two times."""

    model_config = _STRICT

    budget: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="Why, as half a sentence.")
    models: list[str] = Field(
        default=[], description="Beginnings of the names (after the last slash) of the models; left out: all models."
    )
    providers: list[str] = Field(default=[], description="Where they are served; left out: everywhere.")
    first_event_timeout_s: Seconds | None = Field(
        default=None,
        description="Seconds to the first useful event, where neither the target nor its provider says something else.",
    )
    event_gap_timeout_s: Seconds | None = Field(
        default=None,
        description="Seconds between useful events, where neither the target nor its provider says something else.",
    )
    sources: list[Source] = Field(default=[], description="Where this is from, and when; for readers.")


class Catalog(BaseModel):
    """A catalog file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="Tokenbus catalog")

    extends: Literal["default"] | None = Field(
        default=None,
        description="`default`: what this file says comes on top of the catalog that ships with the router.",
    )
    providers: Annotated[dict[Name, ProviderEntry], Field(min_length=1)] = Field(
        description="Providers by name. One that no model names serves all its models as <name>/*."
    )
    models: dict[str, ModelEntry] = Field(
        default={}, description="Model IDs (<family>/<name>) and patterns (<family>/*)."
    )
    rules: list[RuleEntry] = Field(
        default=[],
        description="Which parameters models take; they go before those of the catalog that ships with the router, "
        "which also count where this section is left out.",
    )
    budgets: list[BudgetEntry] = Field(
        default=[],
        description="How long models may keep silent; like rules, they go before those of the catalog that ships with "
        "the router, which also count where this section is left out.",
    )


def targets_of(entry: ModelEntry) -> list[TargetEntry]:
    """The targets of an entry, all written out."""
    return [TargetEntry(provider=form) if isinstance(form, str) else form for form in entry.targets]


def json_schema() -> Mapping[str, Any]:
    """The JSON Schema of a catalog file, as published in `catalog.schema.json`.

    It lets a file leave out what only a file needs that does not extend the default one, and remove entries by null.
    """
    schema = Catalog.model_json_schema()
    schema.pop("required")
    del schema["$defs"]["ModelEntry"]["required"]
    _or_null(schema["properties"]["providers"], "patternProperties")
    models = schema["properties"]["models"]
    models["additionalProperties"] = {"anyOf": [models["additionalProperties"], {"type": "null"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _or_null(schema: dict[str, Any], key: str) -> None:
    schema[key] = {pattern: {"anyOf": [entry, {"type": "null"}]} for pattern, entry in schema[key].items()}


def schema_text() -> str:
    """The text of `catalog.schema.json`, which a test keeps equal to this."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
