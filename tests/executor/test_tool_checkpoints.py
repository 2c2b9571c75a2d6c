"""Checkpoints of tool rounds, and what was published after one."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.executor.conftest import TENANT, target
from tests.valid_stream import Json
from tokenbus.bus import Bus
from tokenbus_chassis.topology import Topology, ensure_topology, topology
from tokenbus_executor.tool_checkpoints import Checkpoint, Checkpoints
from tokenbus_executor.tool_resumption import find_place, restore
from tokenbus_schemas import Event, EventLine, RequestId, encode
from tokenbus_schemas.vocabulary import TOOL_PROGRESS
from tokenbus_translate import ResponseAssembly, ResponseHead

REQUEST = RequestId("r1")


@pytest.fixture
async def stored(bus: Bus, root: str) -> Topology:
    made = topology(root)
    await ensure_topology(bus, made)
    return made


@pytest.fixture
def checkpoints(bus: Bus, stored: Topology) -> Checkpoints:
    return Checkpoints(bus, stream=stored.checkpoints)


def checkpoint(number: int = 0, *, attempt: int = 1, **changes: Any) -> Checkpoint:
    made = Checkpoint(attempt=attempt, round=number, published=7, target=target(), outputs=[], said=[], usage=None)
    return made.model_copy(update=changes)


async def keep(checkpoints: Checkpoints, one: Checkpoint) -> Checkpoint:
    return await checkpoints.keep(one, tenant=TENANT, request_id=REQUEST, ttl_s=30)


async def test_the_first_to_write_a_round_has_said_what_its_calls_are(checkpoints: Checkpoints) -> None:
    first, late = checkpoint(attempt=1), checkpoint(attempt=2)

    assert [await keep(checkpoints, one) for one in (first, late, first)] == [first, first, first]
    assert await checkpoints.read(TENANT, REQUEST) == [first]


async def test_rounds_are_read_in_order_and_not_those_of_other_requests(checkpoints: Checkpoints) -> None:
    rounds = [checkpoint(number) for number in range(12)]
    for one in rounds:
        await keep(checkpoints, one)

    assert await checkpoints.read(TENANT, REQUEST) == rounds
    assert await checkpoints.read(TENANT, RequestId("r10")) == []


async def test_rounds_with_a_gap_are_worth_nothing(checkpoints: Checkpoints) -> None:
    await keep(checkpoints, checkpoint(1))

    assert await checkpoints.read(TENANT, REQUEST) == []


async def test_one_that_can_not_be_read_is_worth_nothing(bus: Bus, stored: Topology, checkpoints: Checkpoints) -> None:
    await bus.publish_stored(f"$KV.{stored.subjects.root}_checkpoints.{TENANT}.{REQUEST}.0", b"{}")

    assert await checkpoints.read(TENANT, REQUEST) == []


async def test_one_that_is_too_large_stops_nothing(checkpoints: Checkpoints) -> None:
    large = checkpoint(outputs=[{"output": "x" * 2_000_000}])

    assert await keep(checkpoints, large) == large
    assert await checkpoints.read(TENANT, REQUEST) == []


async def test_it_expires_some_time_after_its_request(bus: Bus, stored: Topology, checkpoints: Checkpoints) -> None:
    await keep(checkpoints, checkpoint())
    subject = f"$KV.{stored.subjects.root}_checkpoints.{TENANT}.{REQUEST}.0"
    kept = await bus.last_message(stored.checkpoints.name, subject)

    assert kept is not None
    assert kept.headers["Nats-TTL"] == "90s"


OUTPUT: Json = {
    "type": "function_call_output",
    "id": "fco_1",
    "call_id": "call_1",
    "output": "x",
    "status": "completed",
}
ADDED = ("response.output_item.added", {"output_index": 1, "item": {**OUTPUT, "output": ""}})
DONE = ("response.output_item.done", {"output_index": 1, "item": OUTPUT})
PROGRESS = (TOOL_PROGRESS, {"item_id": "fc_1", "output_index": 0, "message": None, "fraction": 0.5})
DELTA = ("response.output_text.delta", {"item_id": "msg_1", "output_index": 2, "content_index": 0, "delta": "He"})
MESSAGE = ("response.output_item.added", {"output_index": 2, "item": {"type": "message", "id": "msg_1"}})
SAID: Json = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
NEXT = ("response.output_item.added", {"output_index": 2, "item": {**OUTPUT, "id": "fco_2", "output": ""}})
NEXT_DONE = ("response.output_item.done", {"output_index": 2, "item": {**OUTPUT, "id": "fco_2"}})
REWOUND = ("tokenbus:response.rewound", {"attempt": 2, "output_index": 2})
HEAD = ResponseHead(
    response_id="resp_1",
    model="lab/one",
    created_at=1,
    echo={},
    provider="lab",
    upstream_model="m",
    api="responses",
    attempt=2,
    request_id="r1",
)


def lines(events: Sequence[tuple[str, Json]], *, first: int) -> list[EventLine]:
    return [
        EventLine(encode(Event(kind, b"," + orjson.dumps(fields)[1:-1]), number))
        for number, (kind, fields) in enumerate(events, first)
    ]


@pytest.mark.parametrize(
    ("events", "settled", "beyond"),
    [
        ([], 1, False),
        ([PROGRESS], 1, False),
        ([PROGRESS, ADDED, DONE, PROGRESS], 2, False),
        ([ADDED, DONE, NEXT, NEXT_DONE], 3, False),
        ([ADDED], 1, True),
        ([ADDED, DONE, MESSAGE], 2, True),
        ([ADDED, DONE, DELTA], 2, True),
        ([ADDED, DONE, MESSAGE, REWOUND], 2, True),
    ],
)
def test_what_was_published_since_is_outputs_or_too_much(
    events: Sequence[tuple[str, Json]], settled: int, beyond: bool
) -> None:
    before = lines([MESSAGE, DELTA], first=3)
    assembly = ResponseAssembly(HEAD)
    told = [*before, *lines(events, first=5)]
    place = find_place(assembly, checkpoints=[checkpoint(published=5, said=[SAID])], lines=told)

    assert (place.settled, place.beyond, place.sound) == (settled, beyond, True)
    assert place.resumption is not None
    assert place.resumption.items == assembly.output[:settled]


def test_what_tools_did_without_a_checkpoint_is_never_undone() -> None:
    call = ("response.output_item.added", {"output_index": 0, "item": {**SAID, "arguments": ""}})
    called = ("response.output_item.done", {"output_index": 0, "item": SAID})
    told = lines([call, called, ADDED, DONE], first=0)
    place = find_place(ResponseAssembly(HEAD), checkpoints=[], lines=told)

    assert (place.settled, place.beyond, place.sound) == (0, True, False)


def test_a_checkpoint_does_not_hold_where_a_later_attempt_has_voided_it() -> None:
    told = lines([("tokenbus:response.rewound", {"attempt": 2, "output_index": 0}), ADDED], first=5)
    place = find_place(ResponseAssembly(HEAD), checkpoints=[checkpoint(published=5, said=[SAID])], lines=told)

    assert place.resumption is None
    assert not place.sound


def test_restored_items_are_as_they_were() -> None:
    items: list[Json] = [
        {"type": "reasoning", "id": "rs_1", "status": "completed", "summary": [], "encrypted_content": "gAAAA"},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}],
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {
            "type": "function_call",
            "id": "fc_1",
            "status": "completed",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a": 1}',
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        OUTPUT,
        {**OUTPUT, "id": "fco_2", "call_id": "call_2", "output": [{"type": "input_text", "text": "x"}]},
    ]
    assembly = ResponseAssembly(HEAD)
    restore(assembly, items)

    assert assembly.output == items
    assert not assembly.ended
