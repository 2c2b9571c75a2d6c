"""The head of a provider's requests: address and credentials, as the openai SDK writes them.

The SDK knows how providers authenticate and where Azure keeps what. Sending through it costs 0.45 ms of every first
token and 0.5 ms of CPU, most of it in building the same head anew (openai 3.54 against bare aiohttp, 2026-11-22). So it
writes the head once, through a transport that sends nothing, and all calls go out under that head.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAIError
from yarl import URL

from tokenbus_executor.upstreams.access import Access, unavailable
from tokenbus_executor.upstreams.proxies import proxy_for
from tokenbus_schemas import Api, ProviderRow

_PATHS: Final[Mapping[Api, str]] = MappingProxyType(
    {"responses": "/responses", "chat_completions": "/chat/completions"}
)
_CREDENTIALS: Final = frozenset({"authorization", "api-key"})
_KEPT: Final = _CREDENTIALS | {"content-type", "user-agent"}
"""What is taken over from the SDK. Its other headers describe the call that is not made, or come from variables that
are about OpenAI and would reach every provider."""
_OURS: Final[Mapping[str, str]] = MappingProxyType(
    {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
)
"""A compressed stream would come in lumps."""
_KEYLESS: Final = "none"
"""The SDK refuses to start without a key; what it makes of this one is left out."""
_AZURE_V1: Final = "/openai/v1"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Under which requests go out. Never shown: the headers hold the key."""

    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None = field(default=None, repr=False)


async def make_head(
    row: ProviderRow, *, access: Access, api: Api, model: str, environment: Mapping[str, str]
) -> RequestHead:
    """The head for an API of a provider. `model` matters to Azure's dated API only, whose addresses hold it;
    `environment` may name a proxy.

    Raises `UpstreamError` (`target_unavailable`) where the SDK can not make one.
    """
    base_url = access.base_url.strip().rstrip("/")
    if not _is_usable(base_url):
        fix = f"set {row.base_url_env} in the executors' environment" if row.base_url_env else "correct the catalog"
        raise unavailable(row, f"has no usable base URL: {fix} (http or https, without user and password)")
    try:
        written = await _written_by_sdk(row, base_url=base_url, key=access.key or _KEYLESS, api=api, model=model)
    except (OpenAIError, ValueError, TypeError) as error:
        raise unavailable(row, f"can not be addressed ({type(error).__name__}): check its catalog entry") from error
    headers = {name: value for name, value in written.headers.items() if name.lower() in _KEPT}
    if access.key is None or row.auth is not None:
        headers = {name: value for name, value in headers.items() if name.lower() not in _CREDENTIALS}
    if access.key is not None and row.auth == "api-key":
        headers["api-key"] = access.key
    elif access.key is not None and row.auth == "bearer":
        headers["Authorization"] = f"Bearer {access.key}"
    url = URL(str(written.url), encoded=True)
    return RequestHead(
        url=url.update_query(row.query) if row.query else url,
        headers={**headers, **_OURS, **row.headers, **dict(access.headers)},
        proxy=proxy_for(base_url, environment=environment),
    )


def _is_usable(base_url: str) -> bool:
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, ValueError):
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo


class _Taker(httpx2.AsyncBaseTransport):
    """Takes the request that the SDK made, and answers in the provider's place."""

    def __init__(self) -> None:
        self.taken: httpx2.Request | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.taken = request
        return httpx2.Response(200, json={}, request=request)


async def _written_by_sdk(row: ProviderRow, *, base_url: str, key: str, api: Api, model: str) -> httpx2.Request:
    taker = _Taker()
    async with httpx2.AsyncClient(transport=taker, trust_env=False) as http:
        client = _client(row, base_url=base_url, key=key, http=http)
        await client.post(_PATHS[api], cast_to=object, body={"model": model})
    if taker.taken is None:
        raise ValueError("the SDK made no request")
    return taker.taken


def _client(row: ProviderRow, *, base_url: str, key: str, http: httpx2.AsyncClient) -> AsyncOpenAI:
    if row.kind == "openai":
        return AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=0)
    # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (2026-11-22): the v1 API has one address
    # for all deployments and no api-version; the dated API puts both into the address.
    endpoint = base_url.removesuffix(_AZURE_V1)
    if row.api_version is None:
        return AsyncOpenAI(api_key=key, base_url=endpoint + _AZURE_V1, http_client=http, max_retries=0)
    return AsyncAzureOpenAI(
        api_key=key, azure_endpoint=endpoint, api_version=row.api_version, http_client=http, max_retries=0
    )
