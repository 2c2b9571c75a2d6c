"""What the settings of a provider must mean together."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from tokenbus_router.catalog import ProviderEntry
from tokenbus_router.yaml_text import Path
from tokenbus_translate.parameters import CHAT_ONLY

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CREDENTIAL: Final = re.compile(
    r"(.*[-_])?(authorization|api[-_]?key|access[-_]?key|secret|password|cookie|(auth|access|bearer)[-_]?token|token|key)",
    re.IGNORECASE,
)
"""Names of what nobody should read in a file that is shown around."""
_NOT_SECRET: Final = frozenset({"prompt_cache_key"})
_SENT_ANYWAY: Final = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept"})
_NO_CREDENTIALS: Final = "must hold no credentials; name an environment variable in api_key_env or header_env"
_OURS: Final = frozenset({"model", "messages", "input", "stream", "stream_options"})


def broken_provider(entry: ProviderEntry) -> Iterator[tuple[Path, str]]:
    """Setting and problem, for every rule that a provider breaks."""
    problem = _address_problem(entry)
    if problem is not None:
        yield ("base_url",), problem
    if len(set(entry.apis)) < len(entry.apis):
        yield ("apis",), "names an API twice; remove one"
    if entry.api_version is not None and entry.kind != "azure":
        yield ("api_version",), "has no effect: only `kind: azure` has versions; remove it"
    if entry.auth is not None and entry.api_key_env is None:
        yield ("auth",), "has no effect without a key; name its variable in api_key_env"
    for setting, api in (("chat", "chat_completions"), ("responses", "responses")):
        if setting in entry.model_fields_set and api not in entry.apis:
            yield (setting,), f"has no effect: apis does not name {api}; add it there, or remove this"
    yield from _headers(entry)
    for setting, names in (("query", entry.query), ("body", entry.body)):
        for name in names:
            if _CREDENTIAL.fullmatch(name) is not None and name not in _NOT_SECRET:
                yield (setting, name), _NO_CREDENTIALS
    for name in entry.body:
        if name in _OURS:
            yield ("body", name), "is what every request says itself; remove it"
    for index, name in enumerate(entry.responses.chat_parameters):
        if name not in CHAT_ONLY:
            problem = f"is no parameter that only Chat has; those are: {', '.join(CHAT_ONLY)}"
            yield ("responses", "chat_parameters", index), problem
        elif name in entry.responses.chat_parameters[:index]:
            yield ("responses", "chat_parameters", index), "stands twice in this list; remove one"


def _address_problem(entry: ProviderEntry) -> str | None:
    if not entry.base_url:
        return "is missing; add it, or name a variable in base_url_env" if entry.base_url_env is None else None
    return _url_problem(entry.base_url)


def _url_problem(url: str) -> str | None:
    """The URL itself is never quoted: someone may have put a key into it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL; write one such as https://api.openai.com/v1"
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        return "must be a URL that starts with https:// or http://, such as https://api.openai.com/v1"
    if parts.username is not None or parts.password is not None:
        return "must hold no credentials; name the key's environment variable in api_key_env"
    if parts.query or parts.fragment or url.endswith(("/", "?", "#")):
        return "must end in the path of the API, without a slash, query or fragment: https://api.openai.com/v1"
    return None


def _headers(entry: ProviderEntry) -> Iterator[tuple[Path, str]]:
    forms: tuple[tuple[str, Mapping[str, str]], ...] = (("headers", entry.headers), ("header_env", entry.header_env))
    seen: set[str] = set()
    for setting, headers in forms:
        for name, value in headers.items():
            place: Path = (setting, name)
            if _HEADER.fullmatch(name) is None:
                yield place, "is no header name; use letters, digits and -"
            elif name.lower() in seen:
                yield place, "is set twice; remove one"
            elif setting == "headers" and _CREDENTIAL.fullmatch(name) is not None:
                yield place, _NO_CREDENTIALS
            elif name.lower() in _SENT_ANYWAY:
                yield place, "is what every request says itself; remove it"
            elif not value.isprintable() or not value.isascii() or value != value.strip():
                yield place, "must be one line of plain ASCII, without blanks at its ends"
            seen.add(name.lower())
