"""The catalog file: which providers exist and which models they serve.

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

These classes are the shape of the file, and its published JSON Schema; what the parts must mean together is checked in
`catalog_rules.py`, and requests are routed by the table compiled in `routing_table.py`.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from tokenbus_schemas.requests import Api
from tokenbus_schemas.subjects import TOKEN_PATTERN

PATTERN_END: Final = "/*"
"""A model ID that ends so stands for every model of the family before it."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True)

Name = Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")]
EnvironmentName = Annotated[str, Field(pattern="^[A-Z_][A-Z0-9_]{0,127}$")]


class ProviderEntry(BaseModel):
    """Who serves models: where its API is and which environment variable of the executors holds its key."""

    model_config = _STRICT

    base_url: str = Field(description="Where the API is, with the version path: https://api.openai.com/v1.")
    base_url_env: EnvironmentName | None = Field(
        default=None, description="Environment variable of the executors that replaces base_url, where it is set."
    )
    api_key_env: EnvironmentName | None = Field(
        default=None,
        description="Environment variable of the executors that holds the key; left out: no key is needed.",
    )
    apis: Annotated[list[Api], Field(min_length=1)] = Field(
        default=["chat_completions"], description="The APIs it has, preferred first."
    )
    pool: Name | None = Field(
        default=None, description="The work queue whose executors serve it; left out: one of the provider's own name."
    )


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


class Catalog(BaseModel):
    """A catalog file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="Tokenbus catalog")

    providers: Annotated[dict[Name, ProviderEntry], Field(min_length=1)] = Field(description="Providers by name.")
    models: Annotated[dict[str, ModelEntry], Field(min_length=1)] = Field(
        description="Model IDs (<family>/<name>) and patterns (<family>/*)."
    )


def targets_of(entry: ModelEntry) -> list[TargetEntry]:
    """The targets of an entry, all written out."""
    return [TargetEntry(provider=form) if isinstance(form, str) else form for form in entry.targets]


def json_schema() -> Mapping[str, Any]:
    """The JSON Schema of a catalog file, as published in `catalog.schema.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Catalog.model_json_schema()}


def schema_text() -> str:
    """The text of `catalog.schema.json`, which a test keeps equal to this."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
