"""Payloads in pieces, on a real server."""

import asyncio

import pytest

from tokenbus.bus import Bus
from tokenbus.errors import StreamFullError
from tokenbus_chassis.payloads import Payloads
from tokenbus_chassis.topology import Topology, TopologyLimits, topology
from tokenbus_schemas import ErrorCode, PayloadRef, RequestError, RequestId, Tenant

TENANT = Tenant("acme")
REQUEST = RequestId("r1")
LARGE = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
async def stored(bus: Bus, root: str) -> Topology:
    made = topology(root, limits=TopologyLimits(payloads_max_bytes=4 * 1024 * 1024))
    await bus.ensure_stream(made.payloads)
    return made


@pytest.fixture
def payloads(bus: Bus, stored: Topology) -> Payloads:
    return Payloads(bus, topology=stored)


async def not_found(payloads: Payloads, ref: PayloadRef, *, tenant: str = TENANT, request_id: str = REQUEST) -> str:
    with pytest.raises(RequestError) as caught:
        await payloads.fetch(Tenant(tenant), RequestId(request_id), ref=ref)
    assert caught.value.body.code is ErrorCode.PAYLOAD_NOT_FOUND
    return caught.value.body.message


async def test_what_is_kept_is_fetched_until_it_is_dropped(payloads: Payloads) -> None:
    ref = await payloads.keep(TENANT, REQUEST, payload=LARGE, ttl_s=60)
    assert ref.pieces > 2
    assert await payloads.fetch(TENANT, REQUEST, ref=ref) == LARGE
    await payloads.drop(TENANT, REQUEST, ref=ref)
    assert "are not stored, or have expired" in await not_found(payloads, ref)


async def test_a_payload_that_is_kept_again_takes_no_more_room(payloads: Payloads) -> None:
    ref = await payloads.keep(TENANT, REQUEST, payload=LARGE, ttl_s=60)
    for _ in range(4):
        assert await payloads.keep(TENANT, REQUEST, payload=LARGE, ttl_s=60) == ref
    assert await payloads.fetch(TENANT, REQUEST, ref=ref) == LARGE


async def test_a_reference_is_good_for_its_tenant_and_request_alone(payloads: Payloads) -> None:
    ref = await payloads.keep(TENANT, REQUEST, payload=LARGE, ttl_s=60)
    await not_found(payloads, ref, tenant="other")
    await not_found(payloads, ref, request_id="r2")


async def test_a_payload_that_is_not_what_was_referred_to_is_not_handed_out(payloads: Payloads) -> None:
    ref = PayloadRef("3b" * 32, 6, 2)
    for index, piece in enumerate((b"abc", b"def")):
        await payloads.keep_piece(TENANT, REQUEST, ref=ref, index=index, piece=piece, ttl_s=60)
    assert "another digest" in await not_found(payloads, ref)


async def test_a_payload_expires(payloads: Payloads) -> None:
    ref = await payloads.keep(TENANT, REQUEST, payload=b"short", ttl_s=1)
    async with asyncio.timeout(20):
        while True:
            try:
                await payloads.fetch(TENANT, REQUEST, ref=ref)
            except RequestError:
                return


async def test_a_full_store_refuses_and_loses_nothing_that_it_has(payloads: Payloads) -> None:
    ref = await payloads.keep(TENANT, REQUEST, payload=LARGE, ttl_s=60)
    with pytest.raises(StreamFullError):
        await payloads.keep(TENANT, RequestId("r2"), payload=LARGE + LARGE, ttl_s=60)
    assert await payloads.fetch(TENANT, REQUEST, ref=ref) == LARGE
