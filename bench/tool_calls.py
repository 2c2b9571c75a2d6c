"""Function tools: what a call costs from the publish to the output, journal included, and how many a host takes."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.report import Row, percentile
from tokenbus.bus import Bus
from tokenbus.tool_caller import ToolCaller, tool_caller
from tokenbus_local.environment import plain_environment
from tokenbus_local.service_process import service
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_schemas.tools import SHARED_SCOPE, ToolCall, ToolResult

MODULE: Final = "bench.empty_tool"
NAME: Final = tool_name("empty")


async def tool_calls(nats_url: str, *, alone: int = 2000, rate: int = 1000, seconds: int = 10) -> list[Row]:
    """One tools service in its own process; `alone` calls one after another, then `rate` a second for `seconds`."""
    async with (
        tools_service(nats_url),
        Bus.connect(nats_url, name="bench-caller") as bus,
        tool_caller(bus, Subjects()) as caller,
    ):
        for _ in range(200):
            await _call(caller)
        one_by_one = [await _call(caller) for _ in range(alone)]
        paced: list[float] = []

        async def timed() -> None:
            paced.append(await _call(caller))

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(1, rate * seconds + 1):
                group.create_task(timed())
                early_s = started + number / rate - time.perf_counter()
                if early_s > 0:
                    await asyncio.sleep(early_s)
        reached = len(paced) / (time.perf_counter() - started)
    return [
        Row("tool call, p50, one at a time", f"{1000 * percentile(one_by_one, 50):.2f} ms", "≤ 1.5 ms"),
        Row("tool call, p99, one at a time", f"{1000 * percentile(one_by_one, 99):.2f} ms"),
        Row(f"tool calls for {seconds} s", f"{reached:,.0f}/s", "≥ 1,000/s"),
        Row(f"tool call, p50, {rate}/s", f"{1000 * percentile(paced, 50):.2f} ms"),
        Row(f"tool call, p99, {rate}/s", f"{1000 * percentile(paced, 99):.2f} ms"),
    ]


@asynccontextmanager
async def tools_service(nats_url: str) -> AsyncGenerator[None]:
    """A process that serves the empty tool, while inside."""
    environment = {**plain_environment(), "TOKENBUS_NATS_URL": nats_url, "TOKENBUS_TOOLS_MODULES": MODULE}
    with tempfile.TemporaryDirectory(prefix="tokenbus-bench-tools-") as scratch:
        starting = service("tools", "tokenbus_tools", environment=environment, scratch=Path(scratch))
        async with starting as running:
            await running.ready()
            yield


async def _call(caller: ToolCaller) -> float:
    """Seconds from the publish to the output."""
    call = ToolCall(
        tenant="bench",
        request_id=secrets.token_hex(8),
        round=0,
        index=0,
        call_id="call",
        name=NAME,
        arguments="{}",
        deadline=time.time() + 60,
    )
    started = time.perf_counter()
    result = await caller.call(call, scope=scope(SHARED_SCOPE), name=NAME, timeout_s=60)
    if not isinstance(result, ToolResult) or result.outcome != "ok":
        raise RuntimeError(f"a call gave {result}")
    return time.perf_counter() - started
