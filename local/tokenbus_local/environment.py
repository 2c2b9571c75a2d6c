"""Which environment each local process gets, and whether the answers are real."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

SIMULATOR_KEY: Final = "simulator"
_SECRET_ENDINGS: Final = ("_API_KEY", "_AD_TOKEN", "_API_KEY_FILE", "_AD_TOKEN_FILE")


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """What the user configured for the executors: the file `.env`, and the environment above it."""

    variables: Mapping[str, str] = field(repr=False)

    @property
    def openai(self) -> bool:
        """Whether an OpenAI key is set; without one the simulator answers."""
        return bool(self.variables.get("OPENAI_API_KEY") or self.variables.get("OPENAI_API_KEY_FILE"))


def provider_keys(environment: Mapping[str, str], *, dotenv: Path) -> ProviderKeys:
    """Everything the file `dotenv` says (it may be missing), and what `environment` says instead."""
    said = {name: value for name, value in dotenv_values(dotenv).items() if value}
    return ProviderKeys({**said, **{name: value for name, value in environment.items() if value}})


def plain_environment() -> dict[str, str]:
    """This process's environment without provider keys: only executors get those, and what `.env` says."""
    return {name: value for name, value in os.environ.items() if not name.endswith(_SECRET_ENDINGS)}


def executor_environment(keys: ProviderKeys, *, simulator_url: str | None) -> dict[str, str]:
    """What an executor sees: the user's settings and keys, or the simulator in OpenAI's place."""
    variables = {**plain_environment(), **keys.variables}
    if simulator_url is not None:
        variables |= {"OPENAI_API_KEY": SIMULATOR_KEY, "OPENAI_BASE_URL": simulator_url}
    return variables
