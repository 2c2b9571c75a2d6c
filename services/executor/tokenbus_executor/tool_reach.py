"""Brings a call to whoever serves it: the tenant's own tools first, then the shared ones."""

import asyncio
from dataclasses import dataclass
from typing import Final

from tokenbus.bus import Bus
from tokenbus.errors import NoStreamError
from tokenbus.tool_caller import ProgressCallback, ToolCaller
from tokenbus.tool_journal import journal_bucket
from tokenbus_executor.tool_definitions import tool_scopes
from tokenbus_executor.tool_outputs import unreachable
from tokenbus_schemas.subjects import Tenant, ToolName
from tokenbus_schemas.tools import ToolCall, ToolResult

ABANDONED_S: Final = 30.0
"""How long a call that was taken earlier, and that nobody serves now, is offered: a restart of its service is over by
then."""
_OFFER_AGAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ToolReach:
    """`root` names the journal that hosts keep."""

    bus: Bus
    caller: ToolCaller
    root: str
    abandoned_s: float = ABANDONED_S

    async def call(
        self, call: ToolCall, *, timeout_s: float, on_progress: ProgressCallback, sent_before: bool
    ) -> ToolResult | None:
        """The result; None where nobody serves the tool, and it was never run. A cancel leaves the tool running.

        `sent_before`: an earlier attempt may have sent this call. Then a tool that nobody serves any more may have run
        all the same, and its caller must not be told to run it itself. Raises `BusError` where that can not be known.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + min(timeout_s, self.abandoned_s)
        while True:
            for scope in tool_scopes(Tenant(call.tenant)):
                found = await self.caller.call(
                    call, scope=scope, name=ToolName(call.name), timeout_s=timeout_s, on_progress=on_progress
                )
                if isinstance(found, ToolResult):
                    return found
            if not (sent_before and await self._was_taken(call)):
                return None
            if loop.time() >= until:
                return unreachable()
            await asyncio.sleep(_OFFER_AGAIN_S)

    async def cancel(self, call: ToolCall) -> None:
        """End the call wherever it runs. Raises `BusError`."""
        await self.caller.cancel(call)

    async def _was_taken(self, call: ToolCall) -> bool:
        """Whether a host has claimed it: none runs a call that its journal does not hold."""
        try:
            return await self.bus.kv_get(journal_bucket(self.root), call.key) is not None
        except NoStreamError:
            return False  # there never was a host
