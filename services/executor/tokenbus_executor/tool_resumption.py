"""Where a later attempt finds an answer, and from where it can go on without a word twice.

Settled is what the last checkpoint tells, and the whole outputs that were published behind it: tools that ran are never
undone. Calls without an output are sent again, under the same keys, and hosts answer those that ran from their journal.
Whatever else was published behind that, the model's words, is in doubt: it is rewound, or the answer ends with it.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import orjson

from tokenbus.bus import Bus
from tokenbus_chassis.topology import Topology
from tokenbus_executor.tool_checkpoints import Checkpoint
from tokenbus_executor.tool_outputs import OUTPUT_TYPE
from tokenbus_schemas import Event, EventLine, RequestId, Tenant, split_message
from tokenbus_translate import ResponseAssembly, ResponsesStream
from tokenbus_translate.json_value import JsonObject, as_index

_BATCH: Final = 512


class Resumption(NamedTuple):
    """Where to go on: in the round of the last checkpoint."""

    checkpoints: Sequence[Checkpoint]
    """Of all rounds, at least one."""
    outputs: Sequence[JsonObject]
    """Output items of the last round that were published."""

    @property
    def items(self) -> list[JsonObject]:
        """Everything that is settled, in order."""
        return [*_told(self.checkpoints), *self.outputs]


class Place(NamedTuple):
    """How an answer stands."""

    resumption: Resumption | None
    """None: no checkpoint holds."""
    settled: int
    """How many output items are settled."""
    beyond: bool
    """Whether readers have more than that."""
    sound: bool
    """Whether what is beyond may be said anew: no tool ran in it, and what is settled stands where it was."""


class EarlierEvents:
    """Reads what the attempts of a request have published."""

    def __init__(self, bus: Bus, *, topology: Topology) -> None:
        self._bus = bus
        self._topology = topology

    async def read(self, tenant: Tenant, request_id: RequestId) -> list[EventLine]:
        """All lines, in the order they were stored. Raises `BusError`, `MalformedEventError`.

        The leader says which is the last: the replica that hands them out may be a moment behind.
        """
        stream, subject = self._topology.events.name, self._topology.subjects.request_events(tenant, request_id)
        lines: list[EventLine] = []
        start = 1
        last = await self._bus.last_message_at_leader(stream, subject)
        while last is not None and start <= last.sequence:
            page = await self._bus.read_stored(stream, subject, start_sequence=start, batch=_BATCH)
            lines += [line for message in page.messages for line in split_message(message.data)]
            if page.messages:
                start = page.next_sequence
            elif await self._bus.last_message(stream, subject) is None:
                break  # they have expired meanwhile
        return lines


def find_place(assembly: ResponseAssembly, *, checkpoints: Sequence[Checkpoint], lines: Sequence[EventLine]) -> Place:
    """Let the assembly, a fresh one, stand where earlier attempts left the answer. `lines`: all they published."""
    told = _told(checkpoints)
    if told:
        restore(assembly, told)
    since = checkpoints[-1].published if checkpoints else 0
    later = [line for line in lines if line.sequence_number >= since]
    assembly.take_up(later)
    items = assembly.output
    stands = [item.get("id") for item in items[: len(told)]] == [item.get("id") for item in told]
    outputs = list(takewhile(_is_output, items[len(told) :])) if checkpoints else []
    settled = len(told) + len(outputs)
    beyond = any(index >= settled for line in later if (index := as_index(line.data.get("output_index"))) is not None)
    return Place(
        resumption=Resumption(checkpoints, outputs) if checkpoints and stands else None,
        settled=settled,
        beyond=beyond or not stands,
        sound=stands and not any(_is_output(item) for item in items[settled:]),
    )


def restore(assembly: ResponseAssembly, items: Sequence[JsonObject]) -> list[Event]:
    """Put whole items into the response, under their own ids where these are free; the events that tell of them."""
    document = {"status": "completed", "output": list(items)}
    return ResponsesStream(assembly).whole(orjson.dumps(document))


def _told(checkpoints: Sequence[Checkpoint]) -> list[JsonObject]:
    return [item for checkpoint in checkpoints for item in (*checkpoint.outputs, *checkpoint.said)]


def _is_output(item: JsonObject) -> bool:
    return item.get("type") == OUTPUT_TYPE and item.get("status") == "completed"
