"""Which queues this executor serves: those its settings name, else those of every provider in the catalog.

A pool that comes with a change of the catalog is served from then on, without a restart. One that goes is served on:
its queue may still hold work.
"""

import asyncio
import logging
from typing import Final, NoReturn

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.topology import Topology, ensure_topology
from tokenbus_chassis.worker import Worker
from tokenbus_executor.directory import ProviderDirectory
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_executor.upstreams import Upstreams
from tokenbus_schemas import PRIORITY_CLASSES, Pool

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class ServedPools:
    """The pools, kept current by `follow`."""

    def __init__(
        self, bus: Bus, *, settings: ExecutorSettings, providers: ProviderDirectory, upstreams: Upstreams
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._providers = providers
        self._upstreams = upstreams
        self._topology = settings.topology()

    def __contains__(self, pool: str) -> bool:
        return pool in self._topology.pools

    @property
    def topology(self) -> Topology:
        """With the consumers of these pools."""
        return self._topology

    @property
    def consumers(self) -> list[str]:
        """Their queues. All pools of a class come before the next class: a class is more urgent than a pool is."""
        topology = self._topology
        return [topology.work_consumer(pool, urgency).name for urgency in PRIORITY_CLASSES for pool in topology.pools]

    async def ensure(self) -> None:
        """Make what is missing of their queues. Raises `BusError`."""
        await ensure_topology(self._bus, self._topology)

    async def start(self) -> None:
        """Returns when a catalog has come and its pools can be served. Raises `BusError`."""
        if not self._providers.rows:
            _log.info("waiting for the catalog that a router publishes", extra={"bucket": self._topology.catalog.name})
        await self._providers.changed()
        await self._take_up()

    async def follow(self, worker: Worker) -> NoReturn:
        """Let `worker` serve what comes with later changes of the catalog."""
        while True:
            await self._providers.changed()
            while True:
                try:
                    if await self._take_up():
                        await worker.serve(self.consumers)
                except BusError as error:
                    _log.warning("cannot serve new pools yet", extra={"error": error_site(error)})
                    await asyncio.sleep(_RETRY_S)
                else:
                    break

    async def _take_up(self) -> bool:
        """Whether there are pools that were not served before. Providers are made ready, too."""
        for provider, problem in (await self._upstreams.prepare(self._providers.rows)).items():
            _log.warning("a provider can not be called", extra={"provider": provider, "problem": problem})
        before = self._topology.pools
        pools = tuple(dict.fromkeys((*before, *map(Pool, self._settings.pools() or self._providers.pools))))
        if pools == before:
            return False
        topology = self._settings.topology(pools=pools)
        await ensure_topology(self._bus, topology)
        self._topology = topology
        _log.info("serving pools", extra={"pools": list(pools)})
        return True
