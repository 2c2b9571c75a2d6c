"""Who comes late to a long answer gets what there is in one event, then what follows."""

import asyncio
import json
import time
from typing import Any

import pytest

import tokenbus
from tests.router.conftest import TENANT, Desk
from tokenbus_router.snapshot import snapshot
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, encode
from tokenbus_schemas.vocabulary import RESUMED, REWOUND, SNAPSHOT

MESSAGE: dict[str, object] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "in_progress",
    "content": [],
}
PART: dict[str, object] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
PLACE: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def line(event_type: str, number: int, **fields: object) -> EventLine:
    return EventLine(encode(Event(event_type, b"," + json.dumps(fields).encode()[1:-1]), number))


def response(status: str = "in_progress", **fields: object) -> dict[str, object]:
    return {"id": "resp_r1", "object": "response", "model": "lab/one", "status": status, "output": [], **fields}


def beginning(first: int = 0) -> list[EventLine]:
    return [
        line("response.created", first, response=response()),
        line("response.in_progress", first + 1, response=response()),
        line("response.output_item.added", first + 2, output_index=0, item=MESSAGE),
        line("response.content_part.added", first + 3, **PLACE, part=PART),
    ]


def deltas(pieces: list[str], first: int) -> list[EventLine]:
    return [
        line("response.output_text.delta", number, **PLACE, delta=piece, logprobs=[])
        for number, piece in enumerate(pieces, first)
    ]


def end(text: str, number: int) -> EventLine:
    part: dict[str, object] = {**PART, "text": text}
    item: dict[str, object] = {**MESSAGE, "status": "completed", "content": [part]}
    return line("response.completed", number, response=response("completed", output=[item], error=None))


def said(event: bytes | None) -> tuple[int, Any]:
    assert event is not None
    made = EventLine(event)
    assert made.type == SNAPSHOT
    return made.sequence_number, made.data["response"]


def test_all_text_so_far_stands_in_one_event() -> None:
    number, stands = said(snapshot(beginning() + deltas(["The ", "quick "], 4)))
    assert number == 5
    assert (stands["id"], stands["status"]) == ("resp_r1", "in_progress")
    assert stands["output"][0]["content"][0]["text"] == "The quick "


def test_what_comes_behind_a_gap_is_left_to_the_reader() -> None:
    number, stands = said(snapshot(beginning() + deltas(["The "], 4) + deltas(["fox"], 6)))
    assert (number, stands["output"][0]["content"][0]["text"]) == (4, "The ")


def test_a_later_attempt_s_rewind_counts() -> None:
    anew = line(REWOUND, ATTEMPT_STRIDE, attempt=2, output_index=0)
    added = [
        line("response.output_item.added", ATTEMPT_STRIDE + 1, output_index=0, item=MESSAGE),
        line("response.content_part.added", ATTEMPT_STRIDE + 2, **PLACE, part=PART),
        *deltas(["A"], ATTEMPT_STRIDE + 3),
    ]
    number, stands = said(snapshot([*beginning(), *deltas(["The "], 4), anew, *added]))
    assert (number, stands["output"][0]["content"][0]["text"]) == (ATTEMPT_STRIDE + 3, "A")


def test_what_a_resumed_attempt_is_about_to_say_again_counts_as_told() -> None:
    goes_on = line(RESUMED, ATTEMPT_STRIDE, attempt=2, after=4)
    number, stands = said(snapshot([*beginning(), *deltas(["The ", "quick ", "fox"], 4), goes_on]))
    assert (number, stands["output"][0]["content"][0]["text"]) == (ATTEMPT_STRIDE + 2, "The quick fox")


@pytest.mark.parametrize("lines", [[], beginning()[1:], [*beginning(), end("", 4)]])
def test_without_a_beginning_or_after_the_end_there_is_none(lines: list[EventLine]) -> None:
    assert snapshot(lines) is None


async def test_a_late_joiner_reads_one_event_and_then_what_follows(desk: Desk, nats_url: str, root: str) -> None:
    pieces = [f"{number} " for number in range(5000)]
    stored = beginning() + deltas(pieces[:4990], 4)
    for start in range(0, len(stored), 10):
        await desk.publish_events("r1", *[one.raw for one in stored[start : start + 10]])
    async with (
        tokenbus.connect(nats_url, root=root, tenant=TENANT) as client,
        client.attach("r1", mode="snapshot") as stream,
    ):
        started = time.monotonic()
        async with asyncio.timeout(20):
            first = await anext(stream)
        assert time.monotonic() - started < 5.0  # on a machine that does much else; alone 0.07 s
        rest = deltas(pieces[4990:], 4994)
        await desk.publish_events("r1", *[one.raw for one in [*rest, end("".join(pieces), 5004)]])
        async with asyncio.timeout(20):
            following = [event async for event in stream]
    assert (first.type, first.sequence_number) == (SNAPSHOT, 4993)
    assert first.data["response"]["output"][0]["content"][0]["text"] == "".join(pieces[:4990])
    assert len(first.raw) < 2 * len("".join(pieces))
    assert following == [*rest, end("".join(pieces), 5004)]


async def test_its_text_is_whole_from_the_first_piece(desk: Desk, nats_url: str, root: str) -> None:
    stored = beginning() + deltas(["The ", "quick "], 4)
    await desk.publish_events("r1", *[one.raw for one in stored])
    async with (
        tokenbus.connect(nats_url, root=root, tenant=TENANT) as client,
        client.attach("r1", mode="snapshot") as stream,
        asyncio.timeout(20),
    ):
        text = stream.text
        assert await anext(text) == "The quick "
        await desk.publish_events("r1", deltas(["fox"], 6)[0].raw)
        assert await anext(text) == "fox"
        await desk.publish_events("r1", end("The quick fox", 7).raw)
        assert [piece async for piece in text] == []


async def test_an_ended_answer_is_its_end_alone(desk: Desk, nats_url: str, root: str) -> None:
    await desk.publish_events("r1", *[one.raw for one in beginning() + deltas(["The "], 4)])
    await desk.bus.publish_stored(f"{root}.results.{TENANT}.r1", end("The ", 5).raw)
    async with (
        tokenbus.connect(nats_url, root=root, tenant=TENANT) as client,
        client.attach("r1", mode="snapshot") as stream,
        asyncio.timeout(20),
    ):
        assert [(event.type, event.sequence_number) async for event in stream] == [("response.completed", 5)]
