"""The calls of one round while they run: all at once, their outputs in the order of the calls.

An output becomes an item as soon as it and all before it are there. Calls that nobody serves get none: they are the
client's. A run that is cut short can be closed by `interrupt`; then every call without an output gets one that says so,
and the conversation has no loose end.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from tokenbus.errors import BusError
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.tool_calls import FunctionCall
from tokenbus_executor.tool_outputs import Interruption, interrupted, output_item, too_many
from tokenbus_executor.tool_reach import ToolReach
from tokenbus_schemas import WorkOrder
from tokenbus_schemas.tools import ToolProgress, ToolResult
from tokenbus_schemas.vocabulary import TOOL_PROGRESS
from tokenbus_translate import ResponseAssembly

_log = logging.getLogger(__name__)

_GOODBYE_S: Final = 1.0
"""How long the cancels of running tools may take to leave."""


@dataclass(slots=True)
class _Slot:
    call: FunctionCall
    sent: bool = False
    settled: bool = False
    result: ToolResult | None = None
    """None when settled: nobody serves it."""
    progress: ToolProgress | None = None
    """Not told yet; only the last one counts."""


class ToolRun:
    """One round's calls. `run` once, and perhaps `interrupt` where it does not get to its end."""

    def __init__(
        self,
        calls: Sequence[FunctionCall],
        *,
        order: WorkOrder,
        number: int,
        reach: ToolReach,
        assembly: ResponseAssembly,
        publisher: EventPublisher,
        most: int,
        sent_before: bool,
    ) -> None:
        """`number`: the round's, from 0. `most`: how many calls are run. `sent_before`: see `ToolReach.call`."""
        self._slots = [_Slot(call) for call in calls]
        self._order = order
        self._number = number
        self._reach = reach
        self._assembly = assembly
        self._publisher = publisher
        self._most = most
        self._sent_before = sent_before
        self._shown = 0
        self._changed = asyncio.Event()

    @property
    def answered(self) -> list[str]:
        """The ids of the calls that have an output."""
        return [slot.call.call_id for slot in self._slots if slot.result is not None]

    async def run(self) -> None:
        """Returns when all calls are settled and their outputs published.

        Raises `BusError`, perhaps in a group. A cancel leaves the tools running.
        """
        async with asyncio.TaskGroup() as group:
            for slot in self._slots[: self._most]:
                group.create_task(self._call(slot))
            await self._show()
        if self.answered and len(self._slots) > self._most:
            for slot in self._slots[self._most :]:
                self._settle(slot, too_many(self._most))
            await self._show()

    async def interrupt(self, why: Interruption) -> None:
        """End the calls that run, and give every unsettled one an output; the events are left in the assembly."""
        unsettled = [slot for slot in self._slots if not slot.settled]
        running = [slot for slot in unsettled if slot.sent or self._sent_before]
        for slot in unsettled:
            self._settle(slot, interrupted(why, sent=slot in running))
        self._append_outputs()
        try:
            async with asyncio.timeout(_GOODBYE_S):
                for slot in running:
                    await self._reach.cancel(slot.call.to_wire(self._order, number=self._number))
        except (BusError, TimeoutError) as error:
            extra = {"request_id": self._order.request_id, "error": type(error).__name__}
            _log.warning("running tools were not told to stop", extra=extra)

    async def _call(self, slot: _Slot) -> None:
        slot.sent = True
        result = await self._reach.call(
            slot.call.to_wire(self._order, number=self._number),
            timeout_s=max(0.0, self._order.deadline - time.time()),
            on_progress=partial(self._note, slot),
            sent_before=self._sent_before,
        )
        self._settle(slot, result)

    def _settle(self, slot: _Slot, result: ToolResult | None) -> None:
        slot.settled, slot.result = True, result
        self._changed.set()

    def _note(self, slot: _Slot, progress: ToolProgress) -> None:
        slot.progress = progress
        self._changed.set()

    async def _show(self) -> None:
        """Publishes progress and outputs as they come; nobody else publishes meanwhile, so numbers stay in order."""
        done = False
        while not done:
            self._changed.clear()
            done = all(slot.settled for slot in self._slots[: self._most])
            self._tell_progress()
            self._append_outputs()
            if events := self._assembly.take():
                await self._publisher.publish(events)
            if not done:
                await self._changed.wait()

    def _tell_progress(self) -> None:
        for slot in self._slots:
            if slot.progress is not None and not slot.settled:
                self._assembly.passthrough(TOOL_PROGRESS, _progress_fields(slot.call, slot.progress))
            slot.progress = None

    def _append_outputs(self) -> None:
        while self._shown < len(self._slots) and (slot := self._slots[self._shown]).settled:
            self._shown += 1
            if slot.result is not None:
                self._assembly.append_item(output_item(slot.call.call_id, slot.result.output))


def _progress_fields(call: FunctionCall, progress: ToolProgress) -> bytes:
    fields = {"item_id": call.item_id, "output_index": call.output_index}
    said = {"message": progress.message, "fraction": progress.fraction}
    return b"," + orjson.dumps({**fields, **said})[1:-1]
