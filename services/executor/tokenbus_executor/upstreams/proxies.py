"""Which proxy leads to a provider: the variables that curl and the openai SDK read.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, lower case first. (aiohttp could read them itself, in another
thread, for every single request.)
"""

from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(url: str, *, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL, or None where the way is direct.

    `NO_PROXY`: names with commas between; each stands for itself and the names that end in it; `*` for all.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    excepted = [name.strip().lower().lstrip("*").lstrip(".") for name in _value(environment, "no_proxy").split(",")]
    if "*" in _value(environment, "no_proxy").split(",") or any(
        name and (host == name or host.endswith(f".{name}")) for name in excepted
    ):
        return None
    return _value(environment, f"{parts.scheme}_proxy") or _value(environment, "all_proxy") or None


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""
