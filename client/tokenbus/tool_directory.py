"""The served tools, cached. Nobody waits for the services' answers where an old list will do.

A list is used as it is while it is fresh. For a while after that it is still used, and a new one is asked for beside; a
tool that has gone meanwhile is known at the call, at once, since nobody listens. A tool that is not on the list is
asked for anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus.tool_discovery import ServedTool, discover
from tokenbus_schemas.subjects import Subjects

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DirectoryTimes:
    """Ages of a list, in seconds."""

    fresh_s: float = 10.0
    """Used as it is."""
    usable_s: float = 60.0
    """Used while a new one is asked for; an older one is not."""
    retry_s: float = 1.0
    """Used as it is for the answer that a tool is not there."""


class ToolDirectory:
    """Made by `tool_directory`. At most one question to the services at a time."""

    def __init__(self, bus: Bus, subjects: Subjects, *, times: DirectoryTimes) -> None:
        self._bus = bus
        self._subjects = subjects
        self._times = times
        self._tools: Mapping[str, ServedTool] = {}
        self._asked = float("-inf")
        self._lock = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def all(self) -> list[ServedTool]:
        """Everything that is served. Raises as `discover`."""
        await self._look()
        return list(self._tools.values())

    async def find(self, subject: str) -> ServedTool | None:
        """The tool on this subject (`Subjects.tool`), or None. Raises as `discover`."""
        await self._look()
        if subject not in self._tools:
            await self._ask(self._times.retry_s)
        return self._tools.get(subject)

    async def follow(self) -> NoReturn:
        """Asks whenever somebody has used a list that is not fresh."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._ask(self._times.fresh_s)
            except BusError as error:
                _log.warning("cannot ask who serves which tools", extra={"error": error_site(error)})

    async def _look(self) -> None:
        age_s = self._loop.time() - self._asked
        if age_s >= self._times.usable_s:
            await self._ask(self._times.fresh_s)
        elif age_s >= self._times.fresh_s:
            self._wanted.set()

    async def _ask(self, max_age_s: float) -> None:
        async with self._lock:
            if self._loop.time() - self._asked < max_age_s:
                return
            self._tools = {tool.subject: tool for tool in await discover(self._bus, self._subjects)}
            self._asked = self._loop.time()
        for tool in self._tools.values():
            if tool.in_conflict:
                services = sorted({f"{offer.service} {offer.service_version}" for offer in tool.offers})
                _log.warning(
                    "a tool is served with several schemas", extra={"tool": tool.subject, "services": services}
                )


@asynccontextmanager
async def tool_directory(
    bus: Bus, subjects: Subjects, *, times: DirectoryTimes | None = None
) -> AsyncGenerator[ToolDirectory]:
    """A directory that is kept current while inside."""
    directory = ToolDirectory(bus, subjects, times=times or DirectoryTimes())
    async with asyncio.TaskGroup() as group:
        following = group.create_task(directory.follow())
        try:
            yield directory
        finally:
            following.cancel()
