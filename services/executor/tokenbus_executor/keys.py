"""Provider keys and base URLs: from the environment, in executors only, and never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from tokenbus_schemas import ProviderRow


@dataclass(frozen=True, slots=True)
class Keyring:
    """Looks up what a provider row names. Built once in `__main__` from the process's environment."""

    environment: Mapping[str, str] = field(repr=False)

    def key(self, row: ProviderRow) -> SecretStr | None:
        """The provider's key; None when its variable is not set."""
        value = self.environment.get(row.api_key_env) if row.api_key_env is not None else None
        return SecretStr(value) if value else None

    def base_url(self, row: ProviderRow) -> str:
        """The row's base URL, or what its variable says instead."""
        replaced = self.environment.get(row.base_url_env) if row.base_url_env is not None else None
        return replaced or row.base_url
