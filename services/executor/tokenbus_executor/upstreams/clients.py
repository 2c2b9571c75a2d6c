"""One openai client per provider: it brings authentication, headers, connection reuse and typed errors."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.keys import Keyring
from tokenbus_executor.upstreams.budgets import Budgets
from tokenbus_schemas import ErrorCode, ProviderRow
from tokenbus_translate import UpstreamFailure

KEYLESS = "none"
"""What the SDK sends as the key of a provider that needs none; it refuses to start without one."""
_CONNECTIONS = httpx2.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=120.0)


class UpstreamClients:
    """Clients by provider row, made at first use and closed together. Two rows that differ get two clients."""

    def __init__(self, keyring: Keyring, *, budgets: Budgets, exits: AsyncExitStack) -> None:
        self._keyring = keyring
        self._budgets = budgets
        self._exits = exits
        self._clients: dict[ProviderRow, AsyncOpenAI] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, keyring: Keyring, *, budgets: Budgets) -> AsyncGenerator[Self]:
        """Closes every client's connections on leaving."""
        async with AsyncExitStack() as exits:
            yield cls(keyring, budgets=budgets, exits=exits)

    def client(self, row: ProviderRow) -> AsyncOpenAI:
        """Raises `UpstreamError` (`target_unavailable`) where the provider's key is not set, naming the variable."""
        known = self._clients.get(row)
        if known is not None:
            return known
        key = self._keyring.key(row)
        if key is None and row.api_key_env is not None:
            message = f"provider {row.name} has no key: set {row.api_key_env} in the executors' environment"
            raise UpstreamError(UpstreamFailure(ErrorCode.TARGET_UNAVAILABLE, message, retry_elsewhere=True))
        made = AsyncOpenAI(
            api_key=KEYLESS if key is None else key.get_secret_value(),
            base_url=self._keyring.base_url(row),
            # aiohttp under httpx2 halves the CPU of every streamed chunk.
            http_client=DefaultAioHttpClient(limits=_CONNECTIONS),
            # Every phase has a budget of ours, told apart in the error; only connecting is the transport's to time.
            timeout=httpx2.Timeout(None, connect=self._budgets.connect_s),
            max_retries=0,
        )
        self._exits.push_async_callback(made.close)
        self._clients[row] = made
        return made
