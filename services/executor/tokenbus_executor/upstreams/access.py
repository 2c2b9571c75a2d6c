"""How a provider is reached: what its row and the executors' environment say together."""

from dataclasses import dataclass, field
from typing import Final

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.keys import Keyring, MissingValueError
from tokenbus_schemas import ErrorCode, ProviderRow
from tokenbus_translate import UpstreamFailure

_HIDDEN: Final = "[hidden]"
_MIN_SECRET: Final = 6
"""Shorter header values are words that texts may hold by chance."""


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials. Nothing of it is ever shown."""

    base_url: str = field(repr=False)
    key: str | None = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Those whose values come from the environment."""

    def hidden(self, text: str) -> str:
        """`text` without any of the secrets, should a provider have quoted one; nor the beginning of one at the end,
        where a long text was cut."""
        for secret in (self.key, *(value for _, value in self.headers)):
            if secret is not None and len(secret) >= _MIN_SECRET:
                text = _cut_off(text.replace(secret, _HIDDEN), secret=secret)
        return text


def _cut_off(text: str, *, secret: str) -> str:
    shown = text.removesuffix("…")
    longest = min(len(secret) - 1, len(shown))
    for length in range(longest, _MIN_SECRET - 1, -1):
        if shown.endswith(secret[:length]):
            return shown[:-length] + _HIDDEN + text[len(shown) :]
    return text


def access(row: ProviderRow, *, keyring: Keyring) -> Access:
    """Raises `UpstreamError` (`target_unavailable`), which says what is missing, for a provider not configured here."""
    try:
        key = keyring.secret(row.api_key_env).get_secret_value() if row.api_key_env is not None else None
    except MissingValueError as error:
        raise unavailable(row, f"has no key: {error}") from error
    base_url = keyring.plain(row.base_url_env) or row.base_url
    return Access(base_url, key, tuple(_optional_headers(row, keyring=keyring)))


def unavailable(row: ProviderRow, problem: str) -> UpstreamError:
    """The error of a target that can not even be tried."""
    message = f"provider {row.name} {problem}"
    return UpstreamError(UpstreamFailure(ErrorCode.TARGET_UNAVAILABLE, message, retry_elsewhere=True))


def _optional_headers(row: ProviderRow, *, keyring: Keyring) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for header, name in row.header_env.items():
        try:
            found.append((header, keyring.secret(name).get_secret_value()))
        except MissingValueError:
            continue
    return found
