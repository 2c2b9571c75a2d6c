"""Which environment each local process gets, and whether the answers are real."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

SIMULATOR_KEY = "simulator"


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """What the user configured: environment variables whose names end in _API_KEY, and the matching base URLs."""

    variables: Mapping[str, str]

    @property
    def openai(self) -> bool:
        """Whether an OpenAI key is set; without one the simulator answers."""
        return bool(self.variables.get("OPENAI_API_KEY"))


def provider_keys(environment: Mapping[str, str], *, dotenv: Path) -> ProviderKeys:
    """Keys from `environment`, else from the file `dotenv` (which may be missing)."""
    merged = {**{name: value or "" for name, value in dotenv_values(dotenv).items()}, **environment}
    return ProviderKeys(
        {name: value for name, value in merged.items() if value and name.endswith(("_API_KEY", "_BASE_URL"))}
    )


def plain_environment() -> dict[str, str]:
    """This process's environment without provider keys: only executors get those."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


def executor_environment(keys: ProviderKeys, *, simulator_url: str | None) -> dict[str, str]:
    """What an executor sees: the user's keys, or the simulator in OpenAI's place."""
    variables = dict(keys.variables)
    if simulator_url is not None:
        variables |= {"OPENAI_API_KEY": SIMULATOR_KEY, "OPENAI_BASE_URL": simulator_url}
    return {**plain_environment(), **variables}
