"""The router's calls over a real server: replay, cancel, models, and what a wrong call gets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from tests.router.conftest import GOOD, TENANT, Desk, gone, soon
from tokenbus.bus import Message
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_schemas import ATTEMPT_STRIDE, Event, ModelList, RequestId, encode
from tokenbus_schemas.events import COMPLETED

DELTA = "response.output_text.delta"


def line(number: int, *, event_type: str = DELTA, text: str = "x") -> bytes:
    return encode(Event(event_type, b',"delta":' + orjson.dumps(text)), number)


def numbers(page: Any) -> list[int]:
    return [event["sequence_number"] for event in page["events"]]


def writer(desk: Desk) -> TerminalWriter:
    return TerminalWriter(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)


async def store_end(desk: Desk, request_id: str, end: bytes) -> None:
    await writer(desk).store(TENANT, RequestId(request_id), end, expected_sequence=0)


async def admit(desk: Desk, request_id: str) -> None:
    await desk.send(GOOD, request_id)
    await soon(desk.work)
    await gone(desk.waiting_request)


@asynccontextmanager
async def executor_that_runs(desk: Desk, request_id: str) -> AsyncGenerator[list[str]]:
    """Answers stop messages of one request as an executor does; says nothing to others. Gives the stops it heard."""
    heard: list[str] = []

    async def on_stop(message: Message) -> None:
        address = desk.subjects.parse_call(message.subject)
        heard.append(address.request_id)
        if address.request_id == request_id:
            await desk.bus.publish(message.reply, b'{"stopping":true}')

    subscription = await desk.bus.subscribe(f"{desk.subjects.root}.stop.*.*", on_stop)
    await desk.bus.flush()
    yield heard
    await subscription.unsubscribe()


async def test_a_request_that_never_came_is_unknown(desk: Desk) -> None:
    assert await desk.replay("r1") == {"state": "unknown", "more": False, "events": []}


async def test_an_admitted_request_without_events_is_queued(desk: Desk) -> None:
    await admit(desk, "r1")
    assert await desk.replay("r1") == {"state": "queued", "more": False, "events": []}


async def test_stored_events_are_replayed_after_a_number(desk: Desk) -> None:
    await desk.publish_events("r1", line(0), line(1, text="one\nand ünïcode"))
    await desk.publish_events("r1", line(2))
    assert numbers(await desk.replay("r1")) == [0, 1, 2]
    page = await desk.replay("r1", after=0)
    assert page["state"] == "streaming"
    assert page["events"][0] == orjson.loads(line(1, text="one\nand ünïcode"))


async def test_the_terminal_event_heals_what_events_lost(desk: Desk) -> None:
    await desk.publish_events("r1", line(0))
    await store_end(desk, "r1", line(7, event_type=COMPLETED))
    page = await desk.replay("r1")
    assert (page["state"], numbers(page), page["more"]) == ("ended", [0, 7], False)


async def test_a_refused_request_is_replayed_as_it_was_sent(desk: Desk) -> None:
    await desk.send(b"junk", "r1")
    live = await desk.ended("r1")
    page = await desk.replay("r1")
    assert page["state"] == "ended"
    assert page["events"] == live


async def test_a_fence_is_no_event_and_no_end(desk: Desk) -> None:
    await writer(desk).fence(TENANT, RequestId("r1"), attempt=2)
    assert await desk.replay("r1") == {"state": "streaming", "more": False, "events": []}
    await desk.publish_events("r1", line(ATTEMPT_STRIDE), attempt=2)
    assert numbers(await desk.replay("r1")) == [ATTEMPT_STRIDE]


async def test_the_events_of_all_attempts_come_in_order(desk: Desk) -> None:
    await desk.publish_events("r1", line(0), line(1))
    await desk.publish_events("r1", line(ATTEMPT_STRIDE), attempt=2)
    await desk.publish_events("r1", line(2))
    assert numbers(await desk.replay("r1")) == [0, 1, ATTEMPT_STRIDE]


async def test_a_page_is_limited_and_says_that_more_follows(desk: Desk) -> None:
    for number in range(0, 1200, 2):
        await desk.publish_events("r1", line(number), line(number + 1))
    page = await desk.replay("r1", limit=7)
    assert (numbers(page), page["more"]) == (list(range(7)), True)
    got: list[int] = []
    while page["more"]:
        page = await desk.replay("r1", after=got[-1] if got else -1, limit=500)
        got += numbers(page)
    assert got == list(range(1200))


async def test_a_page_stays_within_half_of_what_the_bus_takes(desk: Desk) -> None:
    text = "y" * 100_000
    for number in range(12):
        await desk.publish_events("r1", line(number, text=text))
    subject = desk.subjects.replay(TENANT, RequestId("r1"))
    reply = await desk.bus.request(subject, b"", timeout_s=5.0)
    assert len(reply.data) <= desk.bus.max_payload // 2
    assert orjson.loads(reply.data)["more"]


async def test_an_event_that_no_reply_can_carry_is_left_out_and_the_rest_is_served(desk: Desk) -> None:
    frame = len(line(1, text=""))
    await desk.publish_events("r1", line(0))
    await desk.publish_events("r1", line(1, text="y" * (desk.bus.max_payload - frame)))
    await desk.publish_events("r1", line(2))
    assert numbers(await desk.replay("r1")) == [0, 2]


async def test_requests_of_other_tenants_are_not_replayed(desk: Desk) -> None:
    await desk.publish_events("r1", line(0))
    page = await desk.call(f"{desk.subjects.root}.replay.other.r1")
    assert page["state"] == "unknown"


async def test_cancelling_what_never_came_keeps_a_mark_for_it(desk: Desk) -> None:
    assert await desk.cancel("r1") == {"status": "unknown"}
    assert await desk.bus.kv_get(desk.stored.cancelled.name, f"{TENANT}.r1") is not None


async def test_cancelling_a_queued_request_ends_it_without_an_executor(desk: Desk) -> None:
    await admit(desk, "r1")
    assert await desk.cancel("r1") == {"status": "cancelled"}
    events = await desk.ended("r1")
    assert events[-1]["type"] == "response.incomplete"
    response = events[-1]["response"]
    assert (response["status"], response["model"], response["id"]) == ("cancelled", "lab/one", "resp_r1")
    result = await desk.result("r1")
    assert result is not None
    assert result.data == desk.live["r1"][-1].raw


async def test_cancelling_a_running_request_leaves_its_end_to_the_executor(desk: Desk) -> None:
    await admit(desk, "r1")
    async with executor_that_runs(desk, "r1") as heard:
        assert await desk.cancel("r1") == {"status": "cancelling"}
        assert heard == ["r1"]
    assert await desk.result("r1") is None
    assert await desk.bus.kv_get(desk.stored.cancelled.name, f"{TENANT}.r1") is not None


async def test_executors_that_run_other_requests_do_not_keep_a_queued_one_from_being_cancelled(desk: Desk) -> None:
    await admit(desk, "r1")
    async with executor_that_runs(desk, "another") as heard:
        assert await desk.cancel("r1") == {"status": "cancelled"}
        assert heard == ["r1"]


async def test_cancelling_what_has_ended_changes_nothing(desk: Desk) -> None:
    end = line(3, event_type=COMPLETED)
    await store_end(desk, "r1", end)
    assert await desk.cancel("r1") == {"status": "ended"}
    assert await desk.bus.kv_get(desk.stored.cancelled.name, f"{TENANT}.r1") is None


async def test_a_second_cancel_finds_the_request_ended(desk: Desk) -> None:
    await admit(desk, "r1")
    assert await desk.cancel("r1") == {"status": "cancelled"}
    assert await desk.cancel("r1") == {"status": "ended"}


async def test_a_request_whose_executor_died_is_ended_under_numbers_of_its_own(desk: Desk) -> None:
    await admit(desk, "r1")
    await desk.publish_events("r1", line(0), line(1))
    assert await desk.cancel("r1") == {"status": "cancelled"}
    page = await desk.replay("r1")
    assert page["state"] == "ended"
    assert numbers(page) == [0, 1, ATTEMPT_STRIDE, ATTEMPT_STRIDE + 1, ATTEMPT_STRIDE + 2]


async def test_a_request_behind_a_fence_is_ended_too(desk: Desk) -> None:
    await admit(desk, "r1")
    await writer(desk).fence(TENANT, RequestId("r1"), attempt=3)
    assert await desk.cancel("r1") == {"status": "cancelled"}
    events = await desk.ended("r1")
    assert events[0]["sequence_number"] == 3 * ATTEMPT_STRIDE


async def test_many_cancels_at_once_end_a_request_once(desk: Desk) -> None:
    await admit(desk, "r1")
    replies: list[Any] = []

    async def cancel() -> None:
        replies.append(await desk.cancel("r1"))

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(cancel())
    assert {reply["status"] for reply in replies} <= {"cancelled", "ended"}
    page = await desk.replay("r1")
    assert (page["state"], numbers(page)) == ("ended", [0, 1, 2])
    assert {event.raw for event in desk.live["r1"] if event.is_terminal} == {desk.live["r1"][-1].raw}


async def test_the_models_are_listed_with_their_providers(desk: Desk) -> None:
    listed = ModelList.model_validate(await desk.call(desk.subjects.models(TENANT)))
    assert [(model.id, model.providers) for model in listed.models] == [
        ("lab/one", ["lab"]),
        ("one", ["lab"]),
        ("lab/*", ["lab"]),
    ]


WRONG_CALLS: list[tuple[str, str, bytes, str, str | None]] = [
    ("replay, no JSON", "replay.acme.r1", b"{", "invalid_value", "payload"),
    ("replay, an unknown field", "replay.acme.r1", b'{"from":1}', "unknown_parameter", "from"),
    ("replay, a wrong type", "replay.acme.r1", b'{"after":"1"}', "invalid_value", "after"),
    ("replay, out of range", "replay.acme.r1", b'{"limit":0}', "invalid_value", "limit"),
    ("replay, a strange tenant", "replay.ac!me.r1", b"", "invalid_subject", None),
    ("replay, a strange request", "replay.acme.r!1", b"", "invalid_subject", None),
    ("control, nothing", "control.acme.r1", b"", "invalid_value", "payload"),
    ("control, an unknown action", "control.acme.r1", b'{"action":"pause"}', "invalid_value", "action"),
    ("control, no action", "control.acme.r1", b"{}", "missing_required_parameter", "action"),
    ("control, a strange request", "control.acme.r!1", b'{"action":"cancel"}', "invalid_subject", None),
]


@pytest.mark.parametrize(
    ("subject", "payload", "code", "param"), [row[1:] for row in WRONG_CALLS], ids=[row[0] for row in WRONG_CALLS]
)
@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
async def test_a_wrong_call_is_answered_with_an_error_and_the_next_one_is_served(
    desk: Desk, subject: str, payload: bytes, code: str, param: str | None, content_type: str
) -> None:
    headers = {"content-type": content_type} if content_type else None
    reply = await desk.call(f"{desk.subjects.root}.{subject}", payload, headers=headers)
    assert (reply["error"]["type"], reply["error"]["param"]) == (code, param)
    assert (await desk.replay("other"))["state"] == "unknown"


async def test_calls_are_answered_beside_each_other(desk: Desk) -> None:
    """A cancel that waits for executors does not keep a replay waiting."""
    for name in ("r1", *(f"u{number}" for number in range(8))):
        await admit(desk, name)
    async with executor_that_runs(desk, "another"), asyncio.TaskGroup() as group:
        cancels = [group.create_task(desk.cancel(f"u{number}")) for number in range(8)]
        await desk.replay("r1")
        assert not any(cancel.done() for cancel in cancels)
