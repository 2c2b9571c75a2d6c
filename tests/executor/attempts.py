"""Attempts at requests without a worker, so that each can be cut off at an exact point.

A cancelled attempt says nothing more, as a killed process does not.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.executor.conftest import KEY, TENANT, Desk
from tests.valid_stream import Json, check_stream
from tokenbus.bus import Bus
from tokenbus.tool_caller import ProgressCallback
from tokenbus_executor.answer import Answer
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_executor.surroundings import Surroundings, open_surroundings
from tokenbus_executor.tool_checkpoints import Checkpoint
from tokenbus_executor.tool_reach import ToolReach
from tokenbus_schemas import Event, EventLine, RequestId, WorkOrder, encode
from tokenbus_schemas.tools import ToolCall, ToolResult


async def surroundings(bus: Bus, desk: Desk) -> AsyncGenerator[Surroundings]:
    """For a fixture: what a process shares."""
    settings = ExecutorSettings(root=desk.subjects.root)
    keyring = Keyring({"LAB_KEY": KEY})
    async with open_surroundings(bus, settings=settings, keyring=keyring, topology=desk.stored) as around:
        yield around


def reaching(around: Surroundings, kind: Callable[..., ToolReach], **changes: Any) -> Surroundings:
    """The same process, whose calls go out otherwise."""
    own = around.tools.reach
    reach = kind(own.bus, own.caller, root=own.root, **changes)
    return replace(around, tools=replace(around.tools, reach=reach))


class DiesBefore(ToolReach):
    """The process dies before it sends a call."""

    async def call(
        self, call: ToolCall, *, timeout_s: float, on_progress: ProgressCallback, sent_before: bool
    ) -> ToolResult | None:
        await asyncio.Event().wait()
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiesAfter(ToolReach):
    """The process dies when it has the result, before anybody sees it."""

    had: asyncio.Event

    async def call(
        self, call: ToolCall, *, timeout_s: float, on_progress: ProgressCallback, sent_before: bool
    ) -> ToolResult | None:
        await ToolReach.call(self, call, timeout_s=timeout_s, on_progress=on_progress, sent_before=sent_before)
        self.had.set()
        await asyncio.Event().wait()
        return None


@asynccontextmanager
async def dying(order: WorkOrder, around: Surroundings, *, attempt: int = 1) -> AsyncGenerator[None]:
    """An attempt that goes on while inside and dies on leaving."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Answer(order, attempt=attempt, around=around, headers={}).run())
        yield
        task.cancel()


async def attempt(order: WorkOrder, around: Surroundings, *, number: int = 2) -> None:
    async with asyncio.timeout(20):
        await Answer(order, attempt=number, around=around, headers={}).run()


async def told(desk: Desk, order: WorkOrder) -> list[Json]:
    """What a reader has of all attempts, checked as the one answer that it must be."""
    lines = desk.live[order.request_id]
    await desk.until(order.request_id, lambda _: bool(lines) and lines[-1].is_terminal)
    return check_stream(lines, first=lines[0].sequence_number)


def renumbered(line: EventLine, number: int) -> EventLine:
    head = encode(Event(line.type, b""), line.sequence_number)[:-1]
    assert line.raw.startswith(head)
    return EventLine(encode(Event(line.type, line.raw[len(head) : -1]), number))


async def checkpoints(around: Surroundings, order: WorkOrder, *, count: int = 1) -> Sequence[Checkpoint]:
    """Returns when so many are there."""
    async with asyncio.timeout(5):
        while True:
            found = await around.tools.checkpoints.read(TENANT, RequestId(order.request_id))
            if len(found) >= count:
                return found
