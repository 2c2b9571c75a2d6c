"""A tool in this process, and a call of it that is in hand."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from tokenbus_schemas.tools import ToolCall
from tokenbus_toolkit.journal import Claim
from tokenbus_toolkit.results import StopReason
from tokenbus_toolkit.slots import Slots
from tokenbus_toolkit.stats import ToolStats
from tokenbus_toolkit.tool import Tool


class ServedTool:
    """A tool in this process."""

    def __init__(self, tool: Tool) -> None:
        self.tool: Final = tool
        self.slots: Final = Slots(tool.limits)
        self.stats: Final = ToolStats()


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call in hand. Times are the event loop's."""

    call: ToolCall
    served: ServedTool
    stopping: asyncio.Future[StopReason]
    started: float
    told: float
    audience: list[str] = field(default_factory=list[str])
    claim: Claim | None = None
    renewed: float = 0.0
    progressed: float = 0.0

    def stop(self, reason: StopReason) -> None:
        """The first reason counts."""
        if not self.stopping.done():
            self.stopping.set_result(reason)

    @property
    def idempotent(self) -> bool:
        return self.served.tool.description.idempotent

    def hold(self, claim: Claim, *, now: float) -> None:
        """From now on the claim is renewed."""
        self.claim, self.renewed = claim, now
