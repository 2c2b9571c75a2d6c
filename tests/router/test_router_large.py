"""Requests in pieces, as the router takes them from whoever sends them."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.router.conftest import GOOD, TENANT, Desk, gone, open_desk, running_router, soon
from tokenbus.bus import Bus
from tokenbus_chassis.payloads import Payloads
from tokenbus_schemas import (
    ATTEMPT_STRIDE,
    EventLine,
    PayloadRef,
    RequestId,
    Tenant,
    WorkOrder,
    parse_payload,
    refer,
    split_message,
)
from tokenbus_schemas.headers import PAYLOAD, PIECE, TIMEOUT

NO_CHANGES: Mapping[str, str] = {}
BODY = orjson.dumps({**GOOD, "input": "x" * 1_500_000})


async def upload(
    desk: Desk, request_id: str, *, body: bytes = BODY, tenant: str = TENANT, changes: Mapping[str, str] = NO_CHANGES
) -> PayloadRef:
    """As a client does."""
    ref = refer(body, piece_bytes=400_000)
    for index in range(ref.pieces):
        reply = await keep(
            desk, request_id, ref.piece(body, index=index), ref, index=index, tenant=tenant, changes=changes
        )
        assert reply == {"error": None}
    return ref


async def keep(
    desk: Desk,
    request_id: str,
    piece: bytes,
    ref: PayloadRef,
    *,
    index: int,
    tenant: str = TENANT,
    changes: Mapping[str, str] = NO_CHANGES,
) -> Mapping[str, Any]:
    headers = {PAYLOAD: ref.to_wire(), PIECE: str(index), **changes}
    subject = desk.subjects.payloads(Tenant(tenant), RequestId(request_id))
    return await desk.call(subject, piece, headers=headers)


async def order_of(desk: Desk) -> WorkOrder:
    """The newest work, with its request."""
    work = await soon(desk.work)
    order = WorkOrder.model_validate_json(work.data)
    assert order.request == {}
    payloads = Payloads(desk.bus, topology=desk.stored)
    ref = parse_payload(work.headers[PAYLOAD])
    request = await payloads.fetch(Tenant(order.tenant), RequestId(order.request_id), ref=ref)
    return order.model_copy(update={"request": orjson.loads(request)})


async def test_a_request_in_pieces_becomes_work_in_pieces(desk: Desk) -> None:
    ref = await upload(desk, "r1")
    await desk.send(b"", "r1", headers={PAYLOAD: ref.to_wire()})
    order = await order_of(desk)
    assert (order.request_id, order.request["input"]) == ("r1", "x" * 1_500_000)
    await gone(desk.waiting_request)
    subject = desk.subjects.pieces(TENANT, RequestId("r1"), ref.sha256)
    await gone(lambda: desk.bus.last_message_at_leader(desk.stored.payloads.name, subject))


async def test_another_router_takes_what_was_stored_through_one_that_is_gone(
    bus: Bus, root: str, nats_url: str
) -> None:
    desk = await open_desk(bus, root)
    async with running_router(nats_url, root):
        ref = await upload(desk, "r1")
    await desk.send(b"", "r1", headers={PAYLOAD: ref.to_wire()})
    async with running_router(nats_url, root):
        assert (await order_of(desk)).request_id == "r1"


async def test_a_request_that_comes_twice_runs_once_though_its_payload_was_dropped(desk: Desk) -> None:
    ref = await upload(desk, "r1")
    for _ in range(2):
        await desk.send(b"", "r1", headers={PAYLOAD: ref.to_wire()})
        await soon(desk.work)
        await gone(desk.waiting_request)
    assert (await order_of(desk)).request_id == "r1"
    assert await ended_as(desk, "r1") is None


async def ended_as(desk: Desk, request_id: str) -> str | None:
    end = await desk.result(request_id)
    return None if end is None or EventLine(end.data).sequence_number >= ATTEMPT_STRIDE else EventLine(end.data).type


async def test_a_reference_to_nothing_is_refused(desk: Desk) -> None:
    await desk.send(b"", "r1", headers={PAYLOAD: refer(BODY, piece_bytes=400_000).to_wire()})
    error = await desk.error("r1")
    assert (error["type"], error["param"]) == ("payload_not_found", PAYLOAD)


@pytest.mark.parametrize(("tenant", "request_id"), [("stranger", "r1"), (TENANT, "r2")])
async def test_a_reference_holds_for_its_tenant_and_its_request(desk: Desk, tenant: str, request_id: str) -> None:
    ref = await upload(desk, request_id, tenant=tenant)
    await desk.send(b"", "r1", headers={PAYLOAD: ref.to_wire()})
    assert (await desk.error("r1"))["type"] == "payload_not_found"


async def test_a_payload_with_another_digest_is_refused(desk: Desk) -> None:
    ref = refer(BODY, piece_bytes=400_000)
    lie = PayloadRef("3b" * 32, ref.size, ref.pieces)
    for index in range(ref.pieces):
        await keep(desk, "r1", ref.piece(BODY, index=index), lie, index=index)
    await desk.send(b"", "r1", headers={PAYLOAD: lie.to_wire()})
    error = await desk.error("r1")
    assert error["type"] == "payload_not_found"
    assert "another digest" in error["message"]


async def test_a_payload_is_kept_as_long_as_its_request_may_take(desk: Desk) -> None:
    ref = await upload(desk, "r1", changes={TIMEOUT: "30"})
    subject = desk.subjects.pieces(TENANT, RequestId("r1"), ref.sha256)
    stored = await desk.bus.last_message_at_leader(desk.stored.payloads.name, subject)
    assert stored is not None
    assert stored.headers["Nats-TTL"] == "90s"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({PAYLOAD: "x"}, "invalid_header"),
        ({PIECE: "9"}, "invalid_header"),
        ({PIECE: "1"}, "invalid_value"),
        ({TIMEOUT: "soon"}, "invalid_header"),
        ({PAYLOAD: f"sha256={'3b' * 32};size=99000000;pieces=99"}, "payload_too_large"),
    ],
)
async def test_a_wrong_piece_is_refused_and_not_stored(desk: Desk, changes: dict[str, str], problem: str) -> None:
    reply = await keep(desk, "r1", b"abc", refer(b"abcde", piece_bytes=3), index=0, changes=changes)
    assert reply["error"]["type"] == problem
    assert await desk.bus.subject_counts(desk.stored.payloads.name, f"{desk.subjects.root}.pieces.>") == {}


async def test_what_is_fetched_is_no_request_and_is_refused_as_any_other(desk: Desk) -> None:
    ref = await upload(desk, "r1", body=b"{" * 1_200_000)
    await desk.send(b"", "r1", headers={PAYLOAD: ref.to_wire()})
    assert (await desk.error("r1"))["type"] == "invalid_json"
    assert split_message((await soon(lambda: desk.result("r1"))).data)[0].is_terminal
