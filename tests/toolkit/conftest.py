"""A caller and hosts of tools on the session's server, each test under a root of its own."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import settings

from tokenbus.bus import Bus
from tokenbus.tool_caller import CallerTimes, NobodyServes, ToolCaller, tool_caller
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_schemas.tools import ToolCall, ToolProgress, ToolResult
from tokenbus_toolkit import JournalTimes, ServiceName, Tool, ToolHost, tool_host

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

QUICK = JournalTimes(lease_s=1.0, renew_s=0.3, give_up_s=5.0)
"""For tests in which a runner dies."""
QUICK_CALLER = CallerTimes(silence_s=3.0, abandoned_s=2.0)


class Calling:
    """Calls tools as an executor does."""

    def __init__(self, caller: ToolCaller, subjects: Subjects) -> None:
        self.caller = caller
        self.subjects = subjects
        self.progress: list[ToolProgress] = []
        self._requests = 0

    def make(self, name: str, arguments: str = "{}", **fields: Any) -> ToolCall:
        """A call of its own request, unless `fields` say otherwise."""
        self._requests += 1
        usual = {"tenant": "default", "request_id": f"r{self._requests}", "round": 0, "index": 0, "call_id": "call_1"}
        named = {"name": name, "arguments": arguments, "deadline": time.time() + 30}
        return ToolCall.model_validate({**usual, **named, **fields})

    async def send(self, call: ToolCall, *, timeout_s: float = 20.0, within: str = "shared") -> ToolResult:
        """The result; fails the test where nobody serves."""
        result = await self.reach(call, timeout_s=timeout_s, within=within)
        assert isinstance(result, ToolResult)
        return result

    async def reach(
        self, call: ToolCall, *, timeout_s: float = 20.0, within: str = "shared"
    ) -> ToolResult | NobodyServes:
        return await self.caller.call(
            call,
            scope=scope(within),
            name=tool_name(call.name),
            timeout_s=timeout_s,
            on_progress=self.progress.append,
        )

    async def __call__(self, name: str, arguments: str = "{}", **fields: Any) -> ToolResult:
        return await self.send(self.make(name, arguments, **fields))


@pytest.fixture
def subjects(root: str) -> Subjects:
    return Subjects(root)


@pytest.fixture
async def calling(bus: Bus, subjects: Subjects) -> AsyncGenerator[Calling]:
    async with tool_caller(bus, subjects, times=QUICK_CALLER) as caller:
        yield Calling(caller, subjects)


StartHost = Callable[..., Awaitable[ToolHost]]


@pytest.fixture
async def host(nats_url: str, root: str) -> AsyncGenerator[StartHost]:
    """Starts a host with a connection of its own: `await host(tool, …, service="name")`."""
    async with AsyncExitStack() as exits:

        async def start(
            *tools: Tool,
            service: str = "tests",
            version: str = "1.0.0",
            times: JournalTimes = QUICK,
            drain_timeout_s: float = 5.0,
            ask_again_s: float = 0.2,
        ) -> ToolHost:
            opened = hosted(
                nats_url,
                *tools,
                root=root,
                service=service,
                version=version,
                times=times,
                drain_timeout_s=drain_timeout_s,
                ask_again_s=ask_again_s,
            )
            return await exits.enter_async_context(opened)

        yield start


@asynccontextmanager
async def hosted(
    nats_url: str,
    *tools: Tool,
    root: str,
    service: str = "tests",
    version: str = "1.0.0",
    times: JournalTimes = QUICK,
    drain_timeout_s: float = 5.0,
    ask_again_s: float = 0.2,
) -> AsyncGenerator[ToolHost]:
    """A host of `tools` while inside."""
    async with (
        Bus.connect(nats_url, name="tests-host") as bus,
        tool_host(
            bus,
            tools,
            service=ServiceName(service, version=version),
            root=root,
            times=times,
            drain_timeout_s=drain_timeout_s,
            ask_again_s=ask_again_s,
        ) as running,
    ):
        yield running
