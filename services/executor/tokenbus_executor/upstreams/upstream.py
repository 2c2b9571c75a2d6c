"""Targets made callable: credentials looked up, the head of their requests ready, their connections shared."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import aiohttp

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.keys import Keyring
from tokenbus_executor.upstreams.access import Access, access
from tokenbus_executor.upstreams.budgets import Budgets
from tokenbus_executor.upstreams.heads import RequestHead, make_head
from tokenbus_executor.upstreams.http import UpstreamBody, cancel_kept, open_body, open_kept, open_session
from tokenbus_schemas import Api, ProviderRow, Target

_MOST_HEADS: Final = 1_000
"""Azure's dated API has one for each deployment that is asked for."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One target, ready to be called."""

    target: Target
    row: ProviderRow
    access: Access
    head: RequestHead
    budgets: Budgets
    session: aiohttp.ClientSession

    def open(self, body: Mapping[str, object]) -> AbstractAsyncContextManager[UpstreamBody]:
        """Send a request; see `open_body`."""
        return open_body(self.session, head=self.head, body=body, timeout=self._timeout)

    def open_kept(self, response_id: str) -> AbstractAsyncContextManager[UpstreamBody]:
        """Read a response that runs in the background, from its start; see `http.open_kept`."""
        return open_kept(self.session, head=self.head, response_id=response_id, timeout=self._timeout)

    async def cancel_kept(self, response_id: str) -> None:
        """End a response that runs in the background. Raises `UpstreamError`."""
        await cancel_kept(self.session, head=self.head, response_id=response_id, timeout=self._timeout)

    @property
    def _timeout(self) -> aiohttp.ClientTimeout:
        connect_s = self.budgets.connect_s
        return aiohttp.ClientTimeout(connect=connect_s, sock_connect=connect_s)


class _Made(NamedTuple):
    row: ProviderRow
    access: Access
    head: RequestHead


class Upstreams:
    """Makes targets callable. A key that changed, or a provider row that did, counts from the next call on."""

    def __init__(self, keyring: Keyring, *, budgets: Budgets, session: aiohttp.ClientSession) -> None:
        self._keyring = keyring
        self._budgets = budgets
        self._session = session
        self._made: dict[tuple[str, Api, str], _Made] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, keyring: Keyring, *, budgets: Budgets) -> AsyncGenerator[Self]:
        """Closes all connections on leaving."""
        async with open_session() as session:
            yield cls(keyring, budgets=budgets, session=session)

    async def upstream(self, target: Target, *, row: ProviderRow) -> Upstream:
        """Raises `UpstreamError` (`target_unavailable`) where the provider can not be called from here, saying why."""
        current = access(row, keyring=self._keyring)
        key = (row.name, target.api, target.model if row.api_version is not None else "")
        made = self._made.get(key)
        if made is None or made.access != current or (made.row is not row and made.row != row):
            if len(self._made) >= _MOST_HEADS:
                self._made.clear()
            head = await make_head(
                row, access=current, api=target.api, model=target.model, environment=self._keyring.environment
            )
            made = self._made[key] = _Made(row, current, head)
        return Upstream(target, row, current, made.head, self._budgets.of(target, row=row), self._session)

    async def prepare(self, rows: Iterable[ProviderRow]) -> dict[str, str]:
        """Make ready what the first request would wait for (0.15 s); by name, why a provider can not be called."""
        problems: dict[str, str] = {}
        for row in rows:
            try:
                for api in row.apis:
                    await self.upstream(Target(provider=row.name, model="-", api=api, pool=row.pool), row=row)
            except UpstreamError as error:
                problems[row.name] = error.failure.message
        return problems
