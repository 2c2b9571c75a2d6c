"""Providers as the catalog has them, and those of their targets that failed: for whoever operates a Tokenbus.

Read from the services' buckets; a tenant's account does not reach them.
"""

from typing import NamedTuple

from tokenbus.bus import Bus, KvChange
from tokenbus_schemas import CoolDown, ProviderRow, ProviderTable
from tokenbus_schemas.work import PROVIDERS_KEY


class ProviderState(NamedTuple):
    """A provider and its failed targets, by model. Targets without an entry work."""

    row: ProviderRow
    failed: list[CoolDown]


async def provider_states(bus: Bus, *, root: str) -> list[ProviderState]:
    """In the catalog's order; empty before a router has published one.

    Raises `NoStreamError` where no Tokenbus of this root has run yet, and other `BusError`.
    """
    found = await bus.kv_get(f"{root}_catalog", PROVIDERS_KEY)
    if found is None:
        return []
    table = ProviderTable.model_validate_json(found.value)
    failed = await _cooldowns(bus, bucket=f"{root}_cooldown")
    return [
        ProviderState(row, sorted((one for one in failed if one.provider == row.name), key=lambda one: one.model))
        for row in table.providers
    ]


async def _cooldowns(bus: Bus, *, bucket: str) -> list[CoolDown]:
    entries: dict[str, CoolDown] = {}

    def collect(change: KvChange) -> None:
        if change.value is None:
            entries.pop(change.key, None)
        else:
            entries[change.key] = CoolDown.model_validate_json(change.value)

    watch = await bus.kv_watch(bucket, collect)
    await watch.stop()
    return list(entries.values())
