"""The end of a request is stored once, whoever writes it and however late."""

import asyncio

import pytest

from tokenbus.bus import Bus
from tokenbus.errors import BusError, PayloadTooLargeError
from tokenbus_chassis.terminal import Ended, Fence, Lost, OvertakenError, Stored, TerminalWriter
from tokenbus_chassis.topology import Topology, topology
from tokenbus_schemas import ATTEMPT_STRIDE, Event, RequestId, Tenant, encode
from tokenbus_schemas.events import COMPLETED, FAILED

TENANT = Tenant("acme")
REQUEST = RequestId("r1")


def end(number: int, *, event_type: str = COMPLETED, fields: bytes = b"") -> bytes:
    return encode(Event(event_type, fields), number)


@pytest.fixture
async def stored(bus: Bus, root: str) -> Topology:
    made = topology(root)
    await bus.ensure_stream(made.results)
    return made


@pytest.fixture
def writer(bus: Bus, stored: Topology) -> TerminalWriter:
    return TerminalWriter(bus, subjects=stored.subjects, stream=stored.results.name)


async def test_a_request_that_nobody_ended_has_no_end(writer: TerminalWriter) -> None:
    assert await writer.read(TENANT, REQUEST) is None


async def test_the_first_end_is_stored_and_read_back(writer: TerminalWriter) -> None:
    written = await writer.store(TENANT, REQUEST, end(7), expected_sequence=0)
    assert isinstance(written, Stored)
    assert await writer.read(TENANT, REQUEST) == Ended(end(7), written.sequence)


async def test_a_second_end_loses_and_reads_the_first(writer: TerminalWriter) -> None:
    await writer.store(TENANT, REQUEST, end(7), expected_sequence=0)
    lost = await writer.store(TENANT, REQUEST, end(2, event_type=FAILED), expected_sequence=0)
    assert isinstance(lost, Lost)
    assert isinstance(lost.winner, Ended)
    assert lost.winner.line == end(7)


async def test_an_end_whose_acknowledgement_was_lost_counts_as_stored_when_it_is_written_again(
    writer: TerminalWriter,
) -> None:
    first = await writer.store(TENANT, REQUEST, end(7), expected_sequence=0)
    assert await writer.store(TENANT, REQUEST, end(7), expected_sequence=0) == first


async def test_requests_and_tenants_do_not_touch_each_other(writer: TerminalWriter) -> None:
    for tenant, request_id in ((TENANT, REQUEST), (TENANT, RequestId("r2")), (Tenant("other"), REQUEST)):
        assert isinstance(await writer.store(tenant, request_id, end(1), expected_sequence=0), Stored)


async def test_a_fence_shuts_out_the_attempt_before_it(writer: TerminalWriter) -> None:
    fence = await writer.fence(TENANT, REQUEST, attempt=2)
    late = await writer.store(TENANT, REQUEST, end(7), expected_sequence=0)
    assert isinstance(fence, Fence)
    assert late == Lost(fence)
    mine = await writer.store(TENANT, REQUEST, end(ATTEMPT_STRIDE), expected_sequence=fence.sequence)
    assert isinstance(mine, Stored)


async def test_a_fence_finds_the_end_that_is_there(writer: TerminalWriter) -> None:
    await writer.store(TENANT, REQUEST, end(7), expected_sequence=0)
    found = await writer.fence(TENANT, REQUEST, attempt=2)
    assert isinstance(found, Ended)
    assert found.line == end(7)


async def test_a_later_fence_replaces_an_earlier_one(writer: TerminalWriter) -> None:
    second = await writer.fence(TENANT, REQUEST, attempt=2)
    third = await writer.fence(TENANT, REQUEST, attempt=3)
    assert await writer.read(TENANT, REQUEST) == third
    assert await writer.store(TENANT, REQUEST, end(5), expected_sequence=second.sequence) == Lost(third)


async def test_a_fence_that_was_written_before_is_kept(writer: TerminalWriter) -> None:
    assert await writer.fence(TENANT, REQUEST, attempt=2) == await writer.fence(TENANT, REQUEST, attempt=2)


async def test_an_attempt_that_was_overtaken_is_told_so(writer: TerminalWriter) -> None:
    await writer.fence(TENANT, REQUEST, attempt=3)
    with pytest.raises(OvertakenError) as caught:
        await writer.fence(TENANT, REQUEST, attempt=2)
    assert (caught.value.attempt, caught.value.newer) == (2, 3)


async def test_of_many_writers_at_once_exactly_one_wins_and_all_agree_who(writer: TerminalWriter) -> None:
    outcomes: list[Stored | Lost] = []

    async def write(number: int) -> None:
        outcomes.append(await writer.store(TENANT, REQUEST, end(number), expected_sequence=0))

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(write(number))
    winners = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    assert len(winners) == 1
    stands = await writer.read(TENANT, REQUEST)
    assert {outcome.winner for outcome in outcomes if isinstance(outcome, Lost)} == {stands}


async def test_an_end_over_the_limit_of_the_bus_is_not_sent(writer: TerminalWriter, bus: Bus) -> None:
    with pytest.raises(PayloadTooLargeError):
        await writer.store(TENANT, REQUEST, end(1, fields=b" " * bus.max_payload), expected_sequence=0)
    assert await writer.read(TENANT, REQUEST) is None


async def test_without_its_stream_the_writer_says_so(bus: Bus, root: str) -> None:
    made = topology(root)
    writer = TerminalWriter(bus, subjects=made.subjects, stream=made.results.name, retry_for_s=0.0)
    with pytest.raises(BusError):
        await writer.store(TENANT, REQUEST, end(1), expected_sequence=0)
    with pytest.raises(BusError):
        await writer.read(TENANT, REQUEST)


async def test_an_attempt_whose_fence_was_lost_with_the_store_may_end_the_request(
    writer: TerminalWriter, bus: Bus, stored: Topology
) -> None:
    fence = await writer.fence(TENANT, REQUEST, attempt=2)
    assert isinstance(fence, Fence)
    await bus.delete_stream(stored.results.name)
    await bus.ensure_stream(stored.results)
    written = await writer.store(TENANT, REQUEST, end(ATTEMPT_STRIDE), expected_sequence=fence.sequence)
    assert isinstance(written, Stored)
