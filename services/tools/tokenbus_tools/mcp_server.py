"""One MCP server: connected as long as it can be, its tools served under a prefix.

The connection is one task's: it connects, lists the tools, and lists them again now and then, when the server says that
they changed, and when a call found the connection broken. A listing that fails ends the connection, and after a pause
that doubles up to a minute another one is made. The tools stay served meanwhile: their calls wait a little, then say
that the server is away. Tools that a new listing has no more are withdrawn.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import httpx2
import mcp_types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from pydantic import JsonValue

from tokenbus.error_site import error_site
from tokenbus_toolkit import Tool, ToolContext, ToolDefinitionError, ToolError, raw_tool
from tokenbus_tools.mcp_content import Part, mcp_output
from tokenbus_tools.tool_names import tool_names
from tokenbus_tools.tools_file import McpServerRow

_log = logging.getLogger(__name__)

KEY_META: Final = "tokenbus/idempotency-key"
"""In a call's `_meta`: the key of `ToolContext`, for servers that know it."""
_MAX_PAGES: Final = 100
_READ_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class McpTimes:
    """Seconds."""

    connect_s: float = 20.0
    """For the connection and the first answer; also for each listing."""
    relist_s: float = 30.0
    """How often a listing asks whether the server is there and what it has."""
    away_s: float = 10.0
    """How long a call waits for a server that is away."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0


class Shelf(Protocol):
    """Where the tools go: `ToolHost`."""

    def has(self, tool: Tool) -> bool: ...
    async def serve(self, tools: Iterable[Tool]) -> None: ...
    async def withdraw(self, tools: Iterable[Tool]) -> None: ...


class McpServer:
    """`run` it in a task of its own."""

    def __init__(self, row: McpServerRow, shelf: Shelf, *, times: McpTimes | None = None) -> None:
        self.listed: Final = asyncio.Event()
        """Set once the tools were served for the first time."""
        self._row = row
        self._shelf = shelf
        self._times = times or McpTimes()
        self._wake = asyncio.Event()
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._served: dict[str, Tool] = {}

    @property
    def name(self) -> str:
        """As in the tools file."""
        return self._row.name

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = self._times.first_pause_s
        while True:
            try:
                async with self._connection() as client:
                    await self._list_within(client)
                    pause_s = self._times.first_pause_s
                    self._client = client
                    self._connected.set()
                    _log.info("connected to an MCP server", extra={"server": self._row.name})
                    await self._stay(client)
            except Exception as error:  # noqa: BLE001 - the edge of a foreign program: whatever fails, try again
                extra = {"server": self._row.name, "error": error_site(error), "pause_s": pause_s}
                _log.warning("an MCP server is away", extra=extra)
            finally:
                self._client = None
                self._connected.clear()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause_s = min(2 * pause_s, self._times.longest_pause_s)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Client]:
        async def on_message(message: object) -> None:
            if isinstance(message, mcp_types.ToolListChangedNotification):
                self._wake.set()

        row = self._row
        if row.command is not None:
            command = StdioServerParameters(command=row.command, args=row.args, env=row.env)
            async with _opened(Client(command, message_handler=on_message, cache=None), self._times) as client:
                yield client
            return
        assert row.url is not None
        timeout = httpx2.Timeout(self._times.connect_s, read=_READ_TIMEOUT_S)
        async with httpx2.AsyncClient(headers=row.headers, timeout=timeout) as http:
            transport = streamable_http_client(row.url, http_client=http)
            async with _opened(Client(transport, message_handler=on_message, cache=None), self._times) as client:
                yield client

    async def _stay(self, client: Client) -> None:
        while True:
            try:
                async with asyncio.timeout(self._times.relist_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._list_within(client)

    async def _list_within(self, client: Client) -> None:
        async with asyncio.timeout(self._times.connect_s):
            found = await _list_tools(client)
        await self._serve(found)
        self.listed.set()

    async def _serve(self, found: list[mcp_types.Tool]) -> None:
        """What is new or changed is served, what is gone withdrawn."""
        names = tool_names((tool.name for tool in found), prefix=self._row.name)
        wanted: dict[str, Tool] = {}
        for theirs in found:
            if self._row.tools is None or theirs.name in self._row.tools:
                ours = self._tool(theirs, name=names[theirs.name])
                if ours is not None:
                    wanted[ours.name] = ours
        gone = [tool for name, tool in self._served.items() if _changed(tool, wanted.get(name))]
        await self._shelf.withdraw(gone)
        for tool in gone:
            del self._served[tool.name]
        new = [tool for name, tool in wanted.items() if name not in self._served]
        for tool in [tool for tool in new if self._shelf.has(tool)]:
            extra = {"server": self._row.name, "tool": tool.name}
            _log.error("a tool of an MCP server has the name of another one and is not served", extra=extra)
            new.remove(tool)
        await self._shelf.serve(new)
        self._served |= {tool.name: tool for tool in new}

    def _tool(self, theirs: mcp_types.Tool, *, name: str) -> Tool | None:
        row = self._row

        async def call(arguments: dict[str, JsonValue], context: ToolContext) -> str | list[Part]:
            return await self._call(theirs.name, arguments, context)

        try:
            return raw_tool(
                name=name,
                description=theirs.description or theirs.title or theirs.name,
                parameters=theirs.input_schema,
                scope=row.scope,
                idempotent=theirs.name in row.idempotent,
                timeout_s=row.timeout_s,
                concurrency=row.concurrency,
            )(call)
        except ToolDefinitionError as error:
            extra = {"server": row.name, "tool": name, "problem": error.problem}
            _log.error("a tool of an MCP server can not be served", extra=extra)
            return None

    async def _call(self, name: str, arguments: dict[str, JsonValue], context: ToolContext) -> str | list[Part]:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            fraction = min(1.0, max(0.0, progress / total)) if total else None
            await context.progress(message, fraction=fraction)

        client = await self._reached()
        meta: mcp_types.RequestParamsMeta = {KEY_META: context.key}
        try:
            result = await client.call_tool(name, arguments, progress_callback=on_progress, meta=meta)
        except MCPError as error:
            if error.code != mcp_types.CONNECTION_CLOSED:
                raise ToolError(error.message) from error
            self._wake.set()
            raise ToolError("The connection to the tool's server broke; the call may have taken effect.") from error
        except (httpx2.HTTPError, OSError) as error:
            self._wake.set()
            raise ToolError("The connection to the tool's server broke; the call may have taken effect.") from error
        return mcp_output(result)

    async def _reached(self) -> Client:
        try:
            async with asyncio.timeout(self._times.away_s):
                await self._connected.wait()
        except TimeoutError as error:
            raise ToolError("The tool's server is away. The tool was not run; try again later.") from error
        assert self._client is not None
        return self._client


@asynccontextmanager
async def _opened(client: Client, times: McpTimes) -> AsyncGenerator[Client]:
    """Raises `TimeoutError` for a server that does not answer the handshake."""
    async with asyncio.timeout(times.connect_s) as patience:
        async with client:
            patience.reschedule(None)
            yield client


async def _list_tools(client: Client) -> list[mcp_types.Tool]:
    tools: list[mcp_types.Tool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return tools


def _changed(old: Tool, new: Tool | None) -> bool:
    return new is None or old.description != new.description
