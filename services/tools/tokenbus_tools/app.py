"""The tools service put together: tools of modules, HTTP endpoints and MCP servers, on one host.

Calls do not go through FastStream: a subscriber of it handles one message after another and gives the event loop away
several times for each, so that a busy loop gets 200 to 800 calls a second through, against 4,000 on the bus itself.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tokenbus.bus import Bus
from tokenbus_chassis.run import Parts
from tokenbus_toolkit import ServiceName, Tool, tool_host
from tokenbus_tools.http_tools import http_tools
from tokenbus_tools.mcp_server import McpServer, McpTimes
from tokenbus_tools.settings import ToolsSettings
from tokenbus_tools.tools_file import ToolsFile

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serving_tools(
    bus: Bus, *, settings: ToolsSettings, tools: Sequence[Tool], file: ToolsFile, mcp_times: McpTimes | None = None
) -> AsyncGenerator[Parts]:
    """Everything is served when it yields, but for MCP servers that are away: theirs follow when they come.

    Leaving drains the calls within `drain_timeout_s`, then disconnects from MCP servers. Raises `ToolDefinitionError`,
    `ToolsFileError` and `BusError`; from inside, as an `ExceptionGroup`.
    """
    service = ServiceName(settings.tools_service, version=settings.tools_version, description="Tokenbus tools service")
    async with (
        http_tools(file.http) as endpoints,
        _background() as background,  # outlives the host, whose calls in hand still need their servers
        tool_host(
            bus,
            [*tools, *endpoints],
            service=service,
            root=settings.root,
            drain_timeout_s=settings.drain_timeout_s,
        ) as host,
    ):
        servers = [McpServer(row, host, times=mcp_times) for row in file.mcp]
        for server in servers:
            background(server.run())
        await _listed(servers, timeout_s=settings.tools_start_timeout_s)
        yield Parts()


@asynccontextmanager
async def _background() -> AsyncGenerator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Runs what it is given beside the body, and cancels it afterwards."""
    running: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        yield lambda coroutine: running.append(group.create_task(coroutine))
        for task in running:
            task.cancel()


async def _listed(servers: Sequence[McpServer], *, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as waiting:
            for server in servers:
                waiting.create_task(server.listed.wait())
    except TimeoutError:
        away = [server.name for server in servers if not server.listed.is_set()]
        _log.warning("going on without MCP servers that are away", extra={"servers": away})
