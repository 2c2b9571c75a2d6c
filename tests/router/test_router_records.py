"""What the router keeps of a request: before it is acknowledged, once more after a crash, and never too much."""

import time
from typing import Any

import orjson

from tests.router.conftest import CATALOG, CHANNEL, GOOD, POOL, TENANT, Desk, gone, soon
from tokenbus.bus import Message
from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery import Delivery, delivery
from tokenbus_chassis.payloads import Payloads
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.conversations import Conversations
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Intake
from tokenbus_router.intake_handler import IntakeHandler
from tokenbus_router.large import LargeRequests
from tokenbus_router.lines import Lines
from tokenbus_router.places import Places
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.records import Records
from tokenbus_router.routing_table import compile_table
from tokenbus_router.unanswered import Asked
from tokenbus_router.unattended import Unattended
from tokenbus_schemas import Event, RequestHeaders, RequestId, StoredRequest, encode
from tokenbus_schemas.events import COMPLETED

Json = dict[str, Any]


async def kept_of(desk: Desk, request_id: str) -> StoredRequest | None:
    entry = await desk.bus.kv_get(f"{desk.subjects.root}_responses", f"{TENANT}.{request_id}")
    return None if entry is None else StoredRequest.model_validate_json(entry.value)


async def admit(desk: Desk, body: Json, request_id: str) -> StoredRequest:
    await desk.send(body, request_id)
    await soon(desk.work)
    await gone(desk.waiting_request)
    found = await kept_of(desk, request_id)
    assert found is not None
    return found


async def test_a_request_is_kept_as_it_was_asked_before_it_is_acknowledged(desk: Desk) -> None:
    kept = await admit(desk, {**GOOD, "temperature": 0.5, "instructions": "Be brief."}, "r1")
    assert (kept.model, kept.channel, kept.before) == ("lab/one", CHANNEL, [])
    assert kept.input == [{"type": "message", "role": "user", "content": "hi"}]
    assert kept.request == {"temperature": 0.5, "instructions": "Be brief."}


async def test_a_second_request_under_an_id_changes_nothing_of_what_is_kept(desk: Desk) -> None:
    kept = await admit(desk, GOOD, "r1")
    await desk.send({**GOOD, "input": "something else"}, "r1")
    await gone(desk.waiting_request)
    assert await kept_of(desk, "r1") == kept


async def test_nothing_is_kept_of_a_request_that_is_not_stored(desk: Desk) -> None:
    messages: Json = {"model": "lab/one", "messages": [{"role": "user", "content": "hi"}]}
    for number, body in enumerate([{**GOOD, "store": False}, messages]):
        await desk.send(body, f"r{number}")
        await soon(desk.work)
        await gone(desk.waiting_request)
        assert await kept_of(desk, f"r{number}") is None


async def test_what_is_too_large_to_be_kept_is_served_and_not_kept(desk: Desk) -> None:
    asked = Asked(TENANT, RequestId("r1"), CHANNEL, "lab/one", 1.0)
    records = Records(desk.bus, bucket=desk.stored.responses)
    await records.keep(asked, record=b"x" * (desk.bus.max_payload + 1))
    assert await records.find(TENANT, RequestId("r1")) is None


def handler_of(desk: Desk) -> IntakeHandler:
    """As in the router."""
    subjects, bus = desk.subjects, desk.bus
    records = Records(bus, bucket=desk.stored.responses)
    terminal = TerminalWriter(bus, subjects=subjects, stream=desk.stored.results.name)
    ender = Ender(bus, subjects=subjects, terminal=terminal)
    table = compile_table(load_catalog(CATALOG))
    return IntakeHandler(
        bus,
        intake=Intake(lambda: table, subjects, default_timeout_s=600.0),
        lines=Lines(bus, topology=desk.stored, places=Places(desk.stored.limits.tenant_max_work)),
        large=LargeRequests(Payloads(bus, topology=desk.stored), max_bytes=1, slots=1),
        terminal=terminal,
        ender=ender,
        records=records,
        conversations=Conversations(bus, topology=desk.stored, records=records),
        notes=QueueNotes(bus, subjects=subjects, stream=desk.stored.results.name),
        unattended=Unattended(bus, topology=desk.stored, ender=ender),
        dead_letters=DeadLetters(bus, subjects=subjects, kind="requests"),
    )


async def test_a_router_that_died_between_work_and_record_leaves_both_to_the_next_delivery(desk: Desk) -> None:
    """The second delivery finds the work there, and writes the record."""
    subject = desk.subjects.work(POOL, "standard", TENANT)
    await desk.bus.publish_stored(subject, b"{}", message_id=f"{TENANT}.r1.1")
    await handler_of(desk)(delivery_of(desk, "r1"))
    kept = await kept_of(desk, "r1")
    assert kept is not None
    work = await desk.bus.read_stored(desk.stored.work.name, subject)
    assert [message.data for message in work.messages] == [b"{}"]


async def test_a_request_that_ended_before_it_was_kept_is_kept_late(desk: Desk) -> None:
    terminal = TerminalWriter(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)
    end = encode(Event(COMPLETED, b',"response":{"status":"completed"}'), 3)
    await terminal.store(TENANT, RequestId("r1"), end, expected_sequence=0)
    await handler_of(desk)(delivery_of(desk, "r1"))
    assert await kept_of(desk, "r1") is not None
    assert await desk.work() is None


def delivery_of(desk: Desk, request_id: str) -> Delivery:
    headers = RequestHeaders(RequestId(request_id), CHANNEL).to_wire()
    reply = f"$JS.ACK.S.c.1.1.1.{time.time_ns()}.0"
    message = Message(desk.subjects.request(TENANT, "standard"), orjson.dumps(GOOD), headers, reply)
    return delivery(message, bus=desk.bus)
