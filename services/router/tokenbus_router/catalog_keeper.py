"""Keeps the catalog in use, and what NATS has to hold for it: consumers for its pools, rows of its providers.

A changed file is taken without a restart, in this order: the queues of new pools, then the providers' rows, which wake
the executors, then routing. What was routed before goes on as it was: nothing is taken away from NATS. A file that can
not be used changes nothing, is told once in the log, and is part of every report until it is mended.
"""

import asyncio
import logging
import os
import socket
import time
from dataclasses import dataclass, field

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.topology import Topology
from tokenbus_chassis.topology_guard import TopologyGuard
from tokenbus_router.catalog import Catalog
from tokenbus_router.catalog_file import CatalogFile
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.routing_table import RoutingTable, compile_table, model_list, pools, provider_table
from tokenbus_router.settings import RouterSettings
from tokenbus_schemas import CatalogReport
from tokenbus_schemas.work import PROVIDERS_KEY

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogInUse:
    """A catalog, ready to be used."""

    catalog: Catalog
    table: RoutingTable
    models: bytes
    """The reply to who asks for the models."""
    since: float = field(default_factory=time.time)


def _ready(catalog: Catalog) -> CatalogInUse:
    return CatalogInUse(catalog, compile_table(catalog), model_list(catalog).model_dump_json().encode())


class CatalogKeeper:
    """Made with a catalog that is good; `file` is where it came from and is looked at again."""

    def __init__(self, bus: Bus, *, settings: RouterSettings, catalog: Catalog, file: CatalogFile) -> None:
        self._bus = bus
        self._settings = settings
        self._file = file
        self._problems: tuple[CatalogProblem, ...] = ()
        self._changing = asyncio.Lock()
        self._guard = TopologyGuard(bus, clock=time.monotonic)
        self.in_use = _ready(catalog)

    @property
    def topology(self) -> Topology:
        """With the pools of the catalog in use."""
        return self._topology(self.in_use.catalog)

    async def establish(self) -> None:
        """Everything that others wait for; again when the server has come back empty. Raises `BusError`."""
        async with self._changing:
            await self._publish(self.in_use)

    async def follow(self) -> None:
        """Takes every change of the file, for ever."""
        while True:
            await asyncio.sleep(self._settings.catalog_poll_s)
            if self._file.has_changed():
                await self._take()

    async def guard(self) -> None:
        """Puts right what others change in NATS, for ever."""
        while True:
            await asyncio.sleep(self._settings.topology_check_s)
            try:
                if await self._guard.ensure(self.topology):
                    await self.establish()
            except BusError as error:
                _log.warning("cannot check what NATS holds", extra={"error": error_site(error)})

    def troubles(self) -> list[str]:
        """For /readyz, since requests are routed all the same: what is wrong with the file as it is now, and what had
        to be put right in NATS.
        """
        of_file = [f"{self._file.name} can not be used, an older one is: {problem}" for problem in self._problems]
        return [*of_file, *self._guard.troubles()]

    def report(self) -> CatalogReport:
        """What is in use here, and what is wrong with the file as it is now."""
        return CatalogReport(
            router=f"{socket.gethostname()}-{os.getpid()}",
            source=self._file.name,
            since=self.in_use.since,
            problems=[str(problem) for problem in self._problems],
            catalog=self.in_use.catalog.model_dump(mode="json", exclude_unset=True, exclude_none=True),
        )

    async def _take(self) -> None:
        fields: dict[str, object] = {"catalog": self._file.name}
        try:
            # In a thread: a catalog of thousands of models takes a second, in which others' requests go on.
            changed = await asyncio.to_thread(lambda: _ready(load_catalog(self._file.text())))
        except CatalogError as error:
            self._problems = error.problems
            problems = [str(problem) for problem in error.problems]
            _log.error("the catalog file can not be used, keeping the last one", extra={**fields, "problems": problems})
            return
        self._problems = ()
        catalog = changed.catalog
        try:
            async with self._changing:
                await self._publish(changed)
                self.in_use = changed
        except BusError as error:
            self._file.forget()
            _log.warning("the catalog is not taken yet", extra={**fields, "error": error_site(error)})
            return
        _log.info("catalog taken", extra={**fields, "providers": len(catalog.providers), "models": len(catalog.models)})

    async def _publish(self, catalog: CatalogInUse) -> None:
        topology = self._topology(catalog.catalog)
        await self._guard.ensure(topology)
        rows = provider_table(catalog.catalog).model_dump_json().encode()
        await self._bus.kv_put(topology.catalog.name, PROVIDERS_KEY, rows)

    def _topology(self, catalog: Catalog) -> Topology:
        return self._settings.topology(pools=tuple(pools(catalog)))
