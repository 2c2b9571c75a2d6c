"""The router at intake, against a real server: work, refusals, dead letters, and nothing left in the queue."""

import asyncio
import time
from typing import Any

import orjson
import pytest
from openai.types.responses import ResponseFailedEvent

from tests.router.conftest import CHANNEL, GOOD, POOL, TENANT, Desk, gone, open_desk, running_router, soon
from tokenbus.bus import Bus, Message
from tokenbus.errors import NoStreamError, PayloadTooLargeError
from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery import delivery
from tokenbus_chassis.payloads import Payloads
from tokenbus_chassis.terminal import FENCE_TYPE, TerminalWriter
from tokenbus_router.conversations import Conversations
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Intake
from tokenbus_router.intake_handler import IntakeHandler
from tokenbus_router.large import LargeRequests
from tokenbus_router.lines import Lines
from tokenbus_router.places import Places
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.records import Records
from tokenbus_router.routing_table import Found, RoutingTable
from tokenbus_router.unattended import Unattended
from tokenbus_schemas import Event, ProviderTable, RequestHeaders, RequestId, WorkOrder, encode
from tokenbus_schemas.events import COMPLETED
from tokenbus_schemas.headers import ORIGIN, REASON, REQUEST_ID, RESUBMISSION, TIMEOUT, TRACEPARENT, VERSION
from tokenbus_schemas.work import ATTEMPTS_PER_HOP, HOPS_PER_SUBMISSION


async def test_a_good_request_becomes_work_and_leaves_the_queue(desk: Desk) -> None:
    await desk.send(GOOD, "r1", headers={TRACEPARENT: "00-a-b-01", TIMEOUT: "30"})
    work = await soon(desk.work)
    order = WorkOrder.model_validate_json(work.data)
    assert (order.request_id, order.tenant, order.channel, order.model) == ("r1", TENANT, CHANNEL, "lab/one")
    assert order.deadline == pytest.approx(order.accepted_at + 30)
    assert work.headers[TRACEPARENT] == "00-a-b-01"
    await gone(desk.waiting_request)
    assert await desk.result("r1") is None


async def test_a_request_that_is_sent_twice_becomes_work_once(desk: Desk) -> None:
    await desk.send(GOOD, "r1")
    first = await soon(desk.work)
    await desk.send(GOOD, "r1")
    await gone(desk.waiting_request)
    assert await desk.work() == first


async def test_a_request_that_is_sent_again_soon_after_its_end_gets_that_end(desk: Desk) -> None:
    await desk.send(GOOD, "r1")
    await soon(desk.work)
    await gone(desk.waiting_request)
    end = encode(Event(COMPLETED, b',"response":{}'), 5)
    await desk.bus.publish_stored(desk.subjects.result(TENANT, RequestId("r1")), end)
    await desk.send(GOOD, "r1")
    await gone(desk.waiting_request)
    await desk.bus.flush()
    assert [line.raw for line in desk.live["r1"]] == [end]


async def test_a_request_sent_again_that_is_known_stays_as_it_is(desk: Desk) -> None:
    await desk.send(GOOD, "r1")
    first = await soon(desk.work)
    await gone(desk.waiting_request)
    await desk.send(GOOD, "r1", headers={RESUBMISSION: "1"})
    await gone(desk.waiting_request)
    assert await desk.work() == first


async def test_a_request_sent_again_that_nobody_knows_begins_with_a_later_attempt(desk: Desk) -> None:
    await desk.send(GOOD, "r1", headers={RESUBMISSION: "2"})
    order = WorkOrder.model_validate_json((await soon(desk.work)).data)
    assert order.hop == 2 * HOPS_PER_SUBMISSION + 1
    assert order.attempt_base == 2 * HOPS_PER_SUBMISSION * ATTEMPTS_PER_HOP


BAD: list[tuple[str, object, dict[str, str], str, str | None]] = [
    ("no JSON", b"{nope", {}, "invalid_json", None),
    ("nothing", b"", {}, "invalid_json", None),
    ("no object", [1], {}, "invalid_json", None),
    ("an unknown field", {**GOOD, "temprature": 1}, {}, "unknown_parameter", "temprature"),
    ("a wrong type", {**GOOD, "temperature": "hot"}, {}, "invalid_value", "temperature"),
    ("a value out of range", {**GOOD, "top_p": 7}, {}, "invalid_value", "top_p"),
    ("no model", {"input": "hi"}, {}, "missing_required_parameter", "model"),
    ("an unknown model", {**GOOD, "model": "nowhere/x"}, {}, "model_not_found", "model"),
    ("an unknown provider", {**GOOD, "tokenbus": {"provider": "x"}}, {}, "provider_not_found", "tokenbus.provider"),
    ("empty input", {**GOOD, "input": ""}, {}, "invalid_value", "input"),
    ("an empty list", {**GOOD, "input": []}, {}, "invalid_value", "input"),
    ("two inputs", {**GOOD, "messages": [{"role": "user"}]}, {}, "invalid_request", "messages"),
    ("a contradiction", {**GOOD, "stop": "x", "max_tool_calls": 1}, {}, "unsupported_parameter", "stop"),
    ("a bad timeout", GOOD, {TIMEOUT: "soon"}, "invalid_header", TIMEOUT),
    ("a bad resubmission", GOOD, {RESUBMISSION: "10"}, "invalid_header", RESUBMISSION),
    ("an unknown version", GOOD, {VERSION: "2"}, "invalid_header", VERSION),
    ("no time left", GOOD, {TIMEOUT: "0.000001"}, "deadline_exceeded", None),
]


@pytest.mark.parametrize(("body", "headers", "code", "param"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_request_ends_in_response_failed_and_the_router_goes_on(
    desk: Desk, body: object, headers: dict[str, str], code: str, param: str | None
) -> None:
    await desk.send(body, "bad", headers=headers)
    error = await desk.error("bad")
    assert (error["type"], error["param"]) == (code, param)
    result = await desk.result("bad")
    assert result is not None
    assert result.data == desk.live["bad"][-1].raw
    await gone(desk.waiting_request)
    await desk.send(GOOD, "good")
    assert WorkOrder.model_validate_json((await soon(desk.work)).data).request_id == "good"


async def test_a_refusal_is_what_the_types_of_openai_take(desk: Desk) -> None:
    await desk.send({**GOOD, "model": "nowhere/x", "metadata": {"job": "7"}}, "r1")
    events = await desk.ended("r1")
    failed = ResponseFailedEvent.model_validate(events[-1], strict=True)
    assert failed.response.id == "resp_r1"
    assert failed.response.metadata == {"job": "7"}


DEAD: list[tuple[str, dict[str, str], str | None, str]] = [
    ("a strange tenant", {}, "{root}.requests.ac!me.standard", "invalid_subject"),
    ("a long tenant", {}, "{root}.requests." + "a" * 65 + ".standard", "invalid_subject"),
    ("a bad request id", {REQUEST_ID: "a.b"}, None, "invalid_header"),
    ("a bad channel", {"Tokenbus-Channel": ">"}, None, "invalid_header"),
]


@pytest.mark.parametrize(("headers", "subject", "code"), [row[1:] for row in DEAD], ids=[row[0] for row in DEAD])
async def test_a_message_that_can_not_be_answered_goes_to_the_dead_letters(
    desk: Desk, headers: dict[str, str], subject: str | None, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    origin = (subject or "{root}.requests.acme.standard").format(root=desk.subjects.root)
    await desk.send(GOOD, "r1", headers=headers, subject=origin)
    dead = await soon(desk.dead)
    assert dead.data == orjson.dumps(GOOD)
    assert dead.headers[ORIGIN] == origin
    assert dead.headers[REASON].startswith(f"{code}: ")
    await gone(desk.waiting_request)
    assert await desk.work() is None
    warnings = [record for record in caplog.records if record.name == "tokenbus_chassis.dead_letters"]
    assert [record.levelname for record in warnings] == ["WARNING"]


async def test_a_message_without_any_header_goes_to_the_dead_letters(desk: Desk) -> None:
    await desk.bus.publish_stored(desk.subjects.request(TENANT, "low"), b"hello")
    assert (await soon(desk.dead)).data == b"hello"


async def test_headers_that_command_jetstream_are_not_repeated_on_a_dead_letter(desk: Desk) -> None:
    await desk.send(GOOD, "a.b", headers={"Nats-Expected-Last-Msg-Id": "", "Nats-Msg-Id": "x", TRACEPARENT: "t"})
    dead = await soon(desk.dead)
    assert set(dead.headers) == {REQUEST_ID, VERSION, "Tokenbus-Channel", TRACEPARENT, REASON, ORIGIN, "Nats-Msg-Id"}
    assert dead.headers["Nats-Msg-Id"] != "x"


async def test_a_dead_letter_that_just_fitted_is_kept_without_its_payload(desk: Desk) -> None:
    await desk.send(b"x" * (desk.bus.max_payload - 150), "a.b")
    dead = await soon(desk.dead)
    assert dead.data == b""
    assert "is left out" in dead.headers[REASON]


async def test_a_class_that_does_not_exist_is_refused_at_once(desk: Desk) -> None:
    with pytest.raises(NoStreamError):
        await desk.send(GOOD, "r1", subject=f"{desk.subjects.root}.requests.acme.urgent")


async def test_a_request_over_the_limit_of_the_bus_is_refused_before_it_is_sent(desk: Desk) -> None:
    with pytest.raises(PayloadTooLargeError):
        await desk.send({**GOOD, "input": "x" * desk.bus.max_payload}, "r1")


async def test_a_refusal_that_would_echo_too_much_leaves_the_echo_out(desk: Desk) -> None:
    await desk.send({**GOOD, "model": "nowhere/x", "instructions": "i" * (desk.bus.max_payload // 2)}, "r1")
    events = await desk.ended("r1")
    assert events[-1]["response"]["instructions"] is None


async def test_work_that_finds_its_line_full_is_refused_as_overload(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root, tenant_max_work=1, tenant_max_waiting=1):
        desk = await open_desk(bus, root)
        for request_id in ("r1", "r2"):
            await desk.send(GOOD, request_id)
        await gone(desk.waiting_request)
        await desk.send({**GOOD, "metadata": {"job": "7"}}, "r3")
        events = await desk.ended("r3")
        error = events[-1]["response"]["error"]
        assert (error["type"], error["code"], error["retry_after"]) == ("overloaded", "rate_limit_exceeded", 5.0)
        assert events[-1]["response"]["metadata"] == {"job": "7"}
        await gone(desk.waiting_request)


async def test_a_refusal_of_a_request_that_has_ended_already_repeats_its_end(desk: Desk) -> None:
    end = encode(Event(COMPLETED, b',"response":{}'), 5)
    await desk.bus.publish_stored(desk.subjects.result(TENANT, RequestId("r1")), end)
    await desk.send(b"junk", "r1")
    await gone(desk.waiting_request)
    await desk.bus.flush()
    assert [line.raw for line in desk.live["r1"]] == [end]


async def test_a_refusal_leaves_a_request_alone_that_an_executor_owns(desk: Desk) -> None:
    fence = encode(Event(FENCE_TYPE, b""), 2**20)
    await desk.bus.publish_stored(desk.subjects.result(TENANT, RequestId("r1")), fence)
    await desk.send(b"junk", "r1")
    await gone(desk.waiting_request)
    await desk.bus.flush()
    assert not desk.live["r1"]


async def test_every_class_is_served_on_its_own_queue(desk: Desk) -> None:
    for urgency in ("priority", "standard", "low"):
        await desk.send(GOOD, urgency, subject=f"{desk.subjects.root}.requests.acme.{urgency}")
        subject = f"{desk.subjects.root}.work.{POOL}.{urgency}.{TENANT}"

        async def work(subject: str = subject) -> Any:
            return await desk.bus.last_message_at_leader(desk.stored.work.name, subject)

        assert WorkOrder.model_validate_json((await soon(work)).data).priority_class == urgency


async def test_executors_find_the_provider_table_and_their_consumers(desk: Desk) -> None:
    entry = await desk.bus.kv_get(desk.stored.catalog.name, "providers")
    assert entry is not None
    rows = ProviderTable.model_validate_json(entry.value).providers
    assert [(row.name, row.pool, row.api_key_env) for row in rows] == [("lab", POOL, "LAB_KEY")]
    for urgency in ("priority", "standard", "low"):
        assert await desk.bus.delete_consumer(desk.stored.work.name, f"{POOL}_{urgency}")


async def test_two_routers_share_the_requests(desk: Desk, nats_url: str, root: str) -> None:
    async with running_router(nats_url, root), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(desk.send(GOOD, f"good{number}"))
            group.create_task(desk.send(b"junk", f"bad{number}"))
    for number in range(50):
        assert (await desk.error(f"bad{number}"))["type"] == "invalid_json"
    await gone(desk.waiting_request)
    page = await desk.bus.read_stored(desk.stored.work.name, desk.subjects.work(POOL, "standard", TENANT))
    assert {WorkOrder.model_validate_json(message.data).request_id for message in page.messages} == {
        f"good{number}" for number in range(50)
    }


class BrokenTable(dict[str, Found]):
    """A bug of ours, in the one argument that every request is looked up in."""

    def get(self, *_: object) -> Found:
        raise KeyError("the-secret-prompt")


async def test_a_bug_at_intake_ends_the_request_and_is_logged_without_its_text(
    bus: Bus, router: Bus, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = TerminalWriter(bus, subjects=desk.subjects, stream=desk.stored.results.name)
    ender = Ender(bus, subjects=desk.subjects, terminal=terminal)
    records = Records(bus, bucket=desk.stored.responses)
    handler = IntakeHandler(
        bus,
        lines=Lines(bus, topology=desk.stored, places=Places(1)),
        large=LargeRequests(Payloads(bus, topology=desk.stored), max_bytes=1, slots=1),
        intake=Intake(lambda: RoutingTable(BrokenTable(), {}, frozenset()), desk.subjects, default_timeout_s=600.0),
        terminal=terminal,
        ender=ender,
        records=records,
        notes=QueueNotes(bus, subjects=desk.subjects, stream=desk.stored.results.name),
        unattended=Unattended(bus, topology=desk.stored, ender=ender),
        conversations=Conversations(bus, topology=desk.stored, records=records),
        dead_letters=DeadLetters(bus, subjects=desk.subjects, kind="requests"),
    )
    headers = RequestHeaders(RequestId("r1"), CHANNEL).to_wire()
    reply = f"$JS.ACK.S.c.1.1.1.{time.time_ns()}.0"
    message = Message(desk.subjects.request(TENANT, "standard"), orjson.dumps(GOOD), headers, reply)
    await handler(delivery(message, bus=bus))
    assert (await desk.error("r1"))["type"] == "internal_error"
    assert "the-secret-prompt" not in caplog.text
    assert "KeyError at " in str([vars(record).get("error") for record in caplog.records])
