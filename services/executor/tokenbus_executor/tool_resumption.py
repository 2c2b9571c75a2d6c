"""Whether a later attempt can go on where an earlier one was when it died, without a word twice.

It can while tools ran: what was published after the last checkpoint is then progress, which is worth nothing any more,
and whole outputs, which count as they were published. Calls without an output are sent again, under the same keys, and
hosts answer those that ran from their journal. It can not once the model has begun to speak again.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import orjson

from tokenbus.bus import Bus
from tokenbus_chassis.topology import Topology
from tokenbus_executor.tool_checkpoints import Checkpoint, Checkpoints
from tokenbus_executor.tool_outputs import OUTPUT_TYPE
from tokenbus_schemas import Event, EventLine, RequestId, Tenant, split_message
from tokenbus_schemas.vocabulary import TOOL_PROGRESS
from tokenbus_translate import ResponseAssembly, ResponsesStream
from tokenbus_translate.json_value import JsonObject, as_object

_BATCH: Final = 512
_ADDED: Final = "response.output_item.added"
_DONE: Final = "response.output_item.done"


class Resumption(NamedTuple):
    """Where to go on: in the round of the last checkpoint."""

    checkpoints: Sequence[Checkpoint]
    """Of all rounds, at least one."""
    outputs: Sequence[JsonObject]
    """Output items of the last round that were published."""

    @property
    def items(self) -> list[JsonObject]:
        """Everything that readers have, in order."""
        told = [item for checkpoint in self.checkpoints for item in (*checkpoint.outputs, *checkpoint.said)]
        return [*told, *self.outputs]


class Resumptions:
    """Finds out where requests stood."""

    def __init__(self, bus: Bus, *, topology: Topology, checkpoints: Checkpoints) -> None:
        self._bus = bus
        self._topology = topology
        self._checkpoints = checkpoints

    async def find(self, tenant: Tenant, request_id: RequestId) -> Resumption | Literal["lost"] | None:
        """`lost`: it had gone on beyond its last checkpoint. None: it has none. Raises `BusError`."""
        checkpoints = await self._checkpoints.read(tenant, request_id)
        if not checkpoints:
            return None
        outputs = published_outputs(await self._events(tenant, request_id), since=checkpoints[-1].published)
        return "lost" if outputs is None else Resumption(checkpoints, outputs)

    async def _events(self, tenant: Tenant, request_id: RequestId) -> list[EventLine]:
        stream, subject = self._topology.events.name, self._topology.subjects.request_events(tenant, request_id)
        lines: list[EventLine] = []
        start = 1
        while True:
            page = await self._bus.read_stored(stream, subject, start_sequence=start, batch=_BATCH)
            lines += [line for message in page.messages for line in split_message(message.data)]
            if not page.remaining or not page.messages:
                return lines
            start = page.next_sequence


def published_outputs(lines: Iterable[EventLine], *, since: int) -> list[JsonObject] | None:
    """The output items in the events from this number on; None where these hold anything else. Pure."""
    opened = 0
    outputs: list[JsonObject] = []
    for line in lines:
        if line.sequence_number < since or line.type == TOOL_PROGRESS:
            continue
        item = as_object(line.data.get("item")) or {}
        if item.get("type") != OUTPUT_TYPE:
            return None
        if line.type == _ADDED:
            opened += 1
        elif line.type == _DONE:
            outputs.append(item)
    return outputs if opened == len(outputs) else None


def restore(assembly: ResponseAssembly, items: Sequence[JsonObject]) -> list[Event]:
    """Put whole items into the response, under their own ids where these are free; the events that tell of them."""
    document = {"status": "completed", "output": list(items)}
    return ResponsesStream(assembly).whole(orjson.dumps(document))
