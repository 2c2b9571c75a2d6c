"""What every answer of a process shares about tools."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tokenbus.bus import Bus
from tokenbus.tool_caller import tool_caller
from tokenbus.tool_directory import tool_directory
from tokenbus_chassis.topology import Topology
from tokenbus_executor.tool_checkpoints import Checkpoints
from tokenbus_executor.tool_definitions import ToolDefinitions
from tokenbus_executor.tool_reach import ToolReach
from tokenbus_executor.tool_resumption import EarlierEvents
from tokenbus_executor.upstream_notes import UpstreamNotes


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """What one request may do."""

    rounds: int = 10
    """Rounds of tools, unless the request says otherwise."""
    calls: int = 128
    """Calls of one round."""


@dataclass(frozen=True, slots=True)
class ToolSurroundings:
    """Made once by `open_tools`."""

    definitions: ToolDefinitions
    reach: ToolReach
    checkpoints: Checkpoints
    earlier: EarlierEvents
    notes: UpstreamNotes
    limits: ToolLimits


@asynccontextmanager
async def open_tools(bus: Bus, *, topology: Topology, limits: ToolLimits) -> AsyncGenerator[ToolSurroundings]:
    """Listens for the results of calls while inside. Raises `BusError`."""
    subjects = topology.subjects
    checkpoints = Checkpoints(bus, stream=topology.checkpoints)
    async with tool_caller(bus, subjects) as caller, tool_directory(bus, subjects) as directory:
        yield ToolSurroundings(
            definitions=ToolDefinitions(directory, subjects=subjects),
            reach=ToolReach(bus, caller, root=subjects.root),
            checkpoints=checkpoints,
            earlier=EarlierEvents(bus, topology=topology),
            notes=UpstreamNotes(bus, stream=topology.checkpoints),
            limits=limits,
        )
