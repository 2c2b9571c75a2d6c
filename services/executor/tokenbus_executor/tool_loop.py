"""The rounds of one answer: call the model, run the functions it called, tell it what they gave, until it answers.

the model ends, and called no function that may be run here → the answer ends with it
checkpoint: what was said, and the calls with their ids; from here on a later attempt can go on
the calls that a service serves are run, all at once, and their outputs are items of the response
a call is left that nobody serves, or another item that asks the client → the answer ends; the client goes on
else the next round; after the last one that the request allows, the model is asked once more and may not call
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from tokenbus_executor.calls import Calls
from tokenbus_executor.conversation import Conversation
from tokenbus_executor.errors import StopRequest
from tokenbus_executor.function_tools import runnable
from tokenbus_executor.handover import Moved
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.tool_calls import asks_client, runnable_calls
from tokenbus_executor.tool_checkpoints import Checkpoint
from tokenbus_executor.tool_outputs import OUTPUT_TYPE, Interruption, output_item, superseded
from tokenbus_executor.tool_resumption import Resumption, find_place, restore
from tokenbus_executor.tool_run import ToolRun
from tokenbus_executor.tool_surroundings import ToolSurroundings
from tokenbus_schemas import ErrorBody, ErrorCode, RequestError, RequestId, Target, Tenant, WorkOrder
from tokenbus_translate import Ending, ResponseAssembly
from tokenbus_translate.json_value import JsonObject, as_objects

_COMPLETED: Final = Ending("completed")
_LOST: Final = ErrorBody(
    ErrorCode.EXECUTOR_LOST, "the executor died after it had published events of this answer; they are kept"
)


@dataclass(frozen=True, slots=True)
class _Round:
    """What the model said in a round, and where it stands in the response."""

    number: int
    target: Target
    begin: int
    """Output index of the round's first item."""
    said: Sequence[JsonObject]
    first: int
    """Output index of the first item of `said`: `begin`, unless an earlier attempt's calls were adopted."""
    taken_up: bool = False
    """An earlier attempt may have sent its calls."""


class ToolLoop:
    """One attempt's rounds."""

    def __init__(
        self,
        order: WorkOrder,
        *,
        attempt: int,
        assembly: ResponseAssembly,
        publisher: EventPublisher,
        calls: Calls,
        tools: ToolSurroundings,
    ) -> None:
        self._order = order
        self._attempt = attempt
        self._assembly = assembly
        self._publisher = publisher
        self._calls = calls
        self._tools = tools
        self._most = tools.limits.rounds if order.max_tool_rounds is None else order.max_tool_rounds
        self._functions = runnable(order.request) if self._most else frozenset[str]()
        if self._functions:
            assembly.extension["functions"] = sorted(self._functions)
        self._resumption: Resumption | None = None
        self._resumable = True
        self._run: ToolRun | None = None

    async def take_up(self) -> ErrorBody | None:
        """For a later attempt: go on where an earlier one was; why that can not be, the partial answer kept.

        Raises `BusError`.
        """
        tenant, request_id = Tenant(self._order.tenant), RequestId(self._order.request_id)
        checkpoints = await self._tools.checkpoints.read(tenant, request_id) if self._functions else []
        lines = await self._tools.earlier.read(tenant, request_id)
        place = find_place(self._assembly, checkpoints=checkpoints, lines=lines)
        note = await self._tools.notes.newest(tenant, request_id) if self._order.recovery == "resume" else None
        if note is not None and note.begin == place.settled and place.sound:
            self._calls.resume(note, told=lines, begun=place.beyond)
        elif place.beyond:
            if self._order.recovery != "restart" or not place.sound:
                return _LOST
            self._assembly.rewind(to=place.settled)
        if place.resumption is not None:
            self._assembly.usage = checkpoints[-1].usage
            self._calls.prefer(checkpoints[-1].target)
            self._resumption = place.resumption
            self._run = self._tool_run(
                _standing(place.resumption)
            )  # so that whatever ends the answer now closes its calls
        return None

    async def run(self) -> Ending | ErrorBody | Moved:
        """As `Calls.run`, over all rounds. A cancel, or an error, may leave tools running: see `interrupt`.

        Raises `StopRequest` where a later attempt has taken over, and `BusError`, perhaps in a group.
        """
        try:
            request = await self._defined()
        except RequestError as error:
            return error.body
        if not self._functions:
            return await self._calls.run(lambda _: request)
        conversation = Conversation(request, model=self._order.model)
        outputs: Sequence[JsonObject] = ()
        current = None
        if self._resumption is not None:
            for checkpoint, following in pairwise(self._resumption.checkpoints):
                conversation.add(checkpoint.target, [*checkpoint.said, *following.outputs])
            current = _standing(self._resumption)
        number = 0 if current is None else current.number
        while True:
            if current is None:
                ended = await self._ask(conversation, number=number)
                if not isinstance(ended, _Round):
                    return ended
                current = await self._agreed(ended, outputs=outputs, tools=as_objects(request.get("tools")))
            if not await self._run_calls(current):
                return _COMPLETED
            items = self._assembly.output
            conversation.add(current.target, items[current.begin :])
            outputs = items[current.first + len(current.said) :]
            number, current = number + 1, None

    async def interrupt(self, why: Interruption) -> None:
        """After `run` was cut short: ends the answer at a provider that would write on, ends running tools, and gives
        every call its output, for the end of the answer."""
        await self._calls.abandon()
        if self._run is not None:
            await self._run.interrupt(why)

    async def _defined(self) -> Mapping[str, object]:
        """The request, its tools defined; as they were before, if it is taken up again."""
        request: Mapping[str, object] = self._order.request
        if self._resumption is None:
            whole = await self._tools.definitions.complete(request, tenant=Tenant(self._order.tenant))
        else:
            whole = {**request, "tools": self._resumption.checkpoints[0].tools}
        if whole is not request:
            self._assembly.head = replace(self._assembly.head, echo=whole)
        return whole

    async def _ask(self, conversation: Conversation, *, number: int) -> _Round | Ending | ErrorBody | Moved:
        """One round of the model. Its end is the answer's, unless it called what may be run."""
        begin, last = self._calls.begin, number >= self._most
        ended = await self._calls.run(lambda target: conversation.request_for(target, last=last))
        if isinstance(ended, ErrorBody | Moved) or ended.status != "completed" or last:
            return ended
        said = self._assembly.output[begin:]
        if not runnable_calls(said, first_index=begin, functions=self._functions):
            return ended
        return _Round(number, self._answerer(), begin, said, first=begin)

    async def _agreed(self, mine: _Round, *, outputs: Sequence[JsonObject], tools: Sequence[JsonObject]) -> _Round:
        """The round with the calls that hold for it, which were written down: mine, or an earlier attempt's.

        Raises `StopRequest` where a later attempt was first.
        """
        self._run = self._tool_run(mine)
        if not self._resumable:
            return mine
        checkpoint = Checkpoint(
            attempt=self._attempt,
            round=mine.number,
            published=self._publisher.next_number,
            target=mine.target,
            outputs=list(outputs),
            said=list(mine.said),
            usage=self._assembly.usage,
            tools=list(tools) if mine.number == 0 else [],
        )
        kept = await self._tools.checkpoints.keep(
            checkpoint,
            tenant=Tenant(self._order.tenant),
            request_id=RequestId(self._order.request_id),
            ttl_s=self._order.deadline - time.time(),
        )
        if kept.attempt == self._attempt:
            return mine
        if kept.attempt > self._attempt:
            raise StopRequest(overtaken_by=kept.attempt)
        return await self._adopt(kept, mine)

    async def _adopt(self, kept: Checkpoint, mine: _Round) -> _Round:
        """An earlier attempt, which was taken for dead, has sent its calls: these are the round's, mine are not run.

        What readers have now is in no checkpoint, so no later attempt can go on from here.
        """
        self._resumable = False
        for call in runnable_calls(mine.said, first_index=mine.first, functions=self._functions):
            self._assembly.append_item(output_item(call.call_id, superseded().output))
        first = len(self._assembly.output)
        await self._publisher.publish(restore(self._assembly, kept.said))
        return _Round(mine.number, mine.target, mine.begin, self._assembly.output[first:], first=first, taken_up=True)

    async def _run_calls(self, current: _Round) -> bool:
        """Whether the model may go on: everything that it asked for has been given."""
        self._run = self._tool_run(current)
        await self._run.run()
        self._run = None
        return not asks_client(self._assembly.output[current.begin :])

    def _tool_run(self, current: _Round) -> ToolRun:
        """Of the calls that have no output yet."""
        calls = runnable_calls(current.said, first_index=current.first, functions=self._functions)
        answered = {item.get("call_id") for item in self._assembly.output if item.get("type") == OUTPUT_TYPE}
        return ToolRun(
            [call for call in calls if call.call_id not in answered],
            order=self._order,
            number=current.number,
            reach=self._tools.reach,
            assembly=self._assembly,
            publisher=self._publisher,
            most=self._tools.limits.calls,
            sent_before=current.taken_up,
        )

    def _answerer(self) -> Target:
        head = self._assembly.head
        names = (head.provider, head.upstream_model, head.api)
        targets = self._order.targets
        return next((one for one in targets if (one.provider, one.model, one.api) == names), targets[0])


def _standing(found: Resumption) -> _Round:
    """The round that was going on."""
    current = found.checkpoints[-1]
    begin = len(found.items) - len(found.outputs) - len(current.said)
    return _Round(current.round, current.target, begin, current.said, first=begin, taken_up=True)
