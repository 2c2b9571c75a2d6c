"""The tools service in this process, and a caller of its tools."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tokenbus.bus import Bus
from tokenbus.tool_caller import ToolCaller, tool_caller
from tokenbus_chassis.run import running_service
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_schemas.tools import ToolCall, ToolProgress, ToolResult
from tokenbus_toolkit import Tool
from tokenbus_tools import ToolsSettings, read_tools_file, serving_tools
from tokenbus_tools.mcp_server import McpTimes

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

MCP_PROCESS = Path(__file__).with_name("mcp_process.py")
QUICK = McpTimes(relist_s=0.3, away_s=5.0, first_pause_s=0.05, longest_pause_s=0.2)

RunningTools = Callable[..., AbstractAsyncContextManager[Bus]]


@pytest.fixture
def tools_service(nats_url: str, root: str) -> RunningTools:
    """`async with tools_service(file="…", tools=[…])`: it serves while inside."""

    @asynccontextmanager
    async def running(
        *, file: str = "", tools: Sequence[Tool] = (), start_timeout_s: float = 15.0
    ) -> AsyncGenerator[Bus]:
        settings = ToolsSettings(nats_url=nats_url, root=root, tools_start_timeout_s=start_timeout_s, drain_timeout_s=5)
        read = read_tools_file(file, environment={})
        async with running_service(
            "tools",
            lambda bus: serving_tools(bus, settings=settings, tools=tools, file=read, mcp_times=QUICK),
            settings=settings,
        ) as bus:
            yield bus

    return running


class Calling:
    """Calls tools as an executor does."""

    def __init__(self, caller: ToolCaller, *, subjects: Subjects) -> None:
        self.subjects = subjects
        self.progress: list[ToolProgress] = []
        self._caller = caller
        self._requests = 0

    async def __call__(self, name: str, arguments: str = "{}", **fields: Any) -> ToolResult | None:
        """None: nobody serves."""
        self._requests += 1
        usual = {"tenant": "default", "request_id": f"r{self._requests}", "round": 0, "index": 0, "call_id": "call_1"}
        named = {"name": name, "arguments": arguments, "deadline": time.time() + 30}
        call = ToolCall.model_validate({**usual, **named, **fields})
        result = await self._caller.call(
            call, scope=scope("shared"), name=tool_name(name), timeout_s=20, on_progress=self.progress.append
        )
        return result if isinstance(result, ToolResult) else None


@pytest.fixture
async def calling(bus: Bus, root: str) -> AsyncGenerator[Calling]:
    subjects = Subjects(root)
    async with tool_caller(bus, subjects) as caller:
        yield Calling(caller, subjects=subjects)
