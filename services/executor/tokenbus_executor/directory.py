"""The providers, as the router publishes them in the catalog bucket."""

import asyncio
import logging
from collections.abc import Mapping

from pydantic import ValidationError

from tokenbus_executor.errors import UpstreamError
from tokenbus_schemas import ErrorCode, ProviderRow, ProviderTable
from tokenbus_translate import UpstreamFailure

_log = logging.getLogger(__name__)


class ProviderDirectory:
    """Provider rows by name, kept current while the process runs."""

    def __init__(self) -> None:
        self._rows: Mapping[str, ProviderRow] = {}
        self._changed = asyncio.Event()

    @property
    def rows(self) -> list[ProviderRow]:
        """All providers, in the catalog's order."""
        return list(self._rows.values())

    @property
    def pools(self) -> list[str]:
        """The pools of all providers, each once, in the catalog's order."""
        return list(dict.fromkeys(row.pool for row in self._rows.values()))

    @property
    def limits(self) -> Mapping[str, tuple[str, int]]:
        """Pool and `max_concurrent` of the providers that have a limit."""
        return {
            row.name: (row.pool, row.max_concurrent) for row in self._rows.values() if row.max_concurrent is not None
        }

    def row(self, provider: str) -> ProviderRow:
        """Raises `UpstreamError` (`target_unavailable`) for a provider that the catalog no longer has."""
        row = self._rows.get(provider)
        if row is None:
            message = f"provider {provider} left the catalog"
            raise UpstreamError(UpstreamFailure(ErrorCode.TARGET_UNAVAILABLE, message, retry_elsewhere=True))
        return row

    def replace(self, value: bytes) -> None:
        """Take a new table; one that can not be read is logged, and the last good one stays."""
        try:
            table = ProviderTable.model_validate_json(value)
        except ValidationError as error:
            problems = [problem["loc"] for problem in error.errors(include_input=False)]
            _log.error("unreadable provider table, keeping the last one", extra={"places": problems})
            return
        self._rows = {row.name: row for row in table.providers}
        self._changed.set()

    async def changed(self) -> None:
        """Returns when a table has come since the last call; the router publishes it when it starts."""
        await self._changed.wait()
        self._changed.clear()
