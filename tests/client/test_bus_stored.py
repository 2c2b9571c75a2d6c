"""Messages of streams: stored with an acknowledgement, read back, deleted."""

import asyncio

import pytest

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, StoredAck, StreamSpec
from tokenbus.errors import (
    BusRefusedError,
    BusTimeoutError,
    NoStreamError,
    NotFoundError,
    PayloadTooLargeError,
    StreamFullError,
    WrongLastSequenceError,
)


@pytest.fixture
async def stream(bus: Bus, root: str) -> str:
    """A stream over `<root>.>`."""
    name = f"{root.upper()}_S"
    await bus.ensure_stream(StreamSpec(name, (f"{root}.>",), allow_direct=True))
    return name


async def test_an_acknowledgement_says_where_the_message_is(bus: Bus, root: str, stream: str) -> None:
    assert await bus.publish_stored(f"{root}.a", b"1") == StoredAck(stream, 1, duplicate=False)
    assert await bus.publish_stored(f"{root}.a", b"2") == StoredAck(stream, 2, duplicate=False)


async def test_a_message_id_is_stored_once(bus: Bus, root: str, stream: str) -> None:
    first = await bus.publish_stored(f"{root}.a", b"1", message_id="same")
    again = await bus.publish_stored(f"{root}.a", b"1", message_id="same")
    assert (first.sequence, again) == (1, StoredAck(stream, 1, duplicate=True))


async def test_compare_and_set_lets_one_writer_win(bus: Bus, root: str, stream: str) -> None:
    del stream
    won = await bus.publish_stored(f"{root}.a", b"1", expected_last_subject_sequence=0)
    with pytest.raises(WrongLastSequenceError) as caught:
        await bus.publish_stored(f"{root}.a", b"2", expected_last_subject_sequence=0)
    assert caught.value.actual == won.sequence
    await bus.publish_stored(f"{root}.a", b"2", expected_last_subject_sequence=won.sequence)


async def test_one_of_many_concurrent_writers_wins(bus: Bus, root: str, stream: str) -> None:
    del stream
    outcomes: list[str] = []

    async def write() -> None:
        try:
            await bus.publish_stored(f"{root}.a", b"", expected_last_subject_sequence=0)
        except WrongLastSequenceError:
            outcomes.append("lost")
        else:
            outcomes.append("won")

    async with asyncio.TaskGroup() as writers:
        for _ in range(20):
            writers.create_task(write())
    assert outcomes.count("won") == 1


async def test_a_full_subject_refuses_and_leaves_others_alone(bus: Bus, root: str) -> None:
    spec = StreamSpec(
        f"{root.upper()}_W",
        (f"{root}.>",),
        retention="workqueue",
        discard="new",
        max_messages_per_subject=2,
        discard_new_per_subject=True,
    )
    await bus.ensure_stream(spec)
    for _ in range(2):
        await bus.publish_stored(f"{root}.a", b"")
    with pytest.raises(StreamFullError, match="maximum messages per subject exceeded"):
        await bus.publish_stored(f"{root}.a", b"", retry_for_s=5.0)
    await bus.publish_stored(f"{root}.b", b"")


async def test_a_stream_full_of_bytes_refuses(bus: Bus, root: str) -> None:
    await bus.ensure_stream(StreamSpec(f"{root.upper()}_W", (f"{root}.>",), discard="new", max_bytes=10_000))
    with pytest.raises(StreamFullError, match="maximum bytes exceeded"):
        await fill(bus, f"{root}.a")


async def fill(bus: Bus, subject: str) -> None:
    """Publishes until the stream refuses."""
    while True:
        await bus.publish_stored(subject, b"x" * 1000)


async def test_a_subject_without_a_stream_is_refused_at_once(bus: Bus, root: str) -> None:
    with pytest.raises(NoStreamError, match=root):
        await bus.publish_stored(f"{root}.a", b"", timeout_s=30.0)


async def test_a_payload_over_the_limit_is_refused_before_it_is_sent(bus: Bus, root: str, stream: str) -> None:
    del stream
    with pytest.raises(PayloadTooLargeError):
        await bus.publish_stored(f"{root}.a", b"x" * bus.max_payload, message_id="counts too")
    assert bus.reconnects == 0


async def test_a_publish_is_retried_until_the_stream_exists(bus: Bus, root: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(bus.publish_stored(f"{root}.a", b"", retry_for_s=10.0))
        await asyncio.sleep(0)
        await bus.ensure_stream(StreamSpec(f"{root.upper()}_S", (f"{root}.>",)))
    assert publishing.result().sequence == 1


async def test_a_publish_without_guard_is_not_repeated_after_silence(bus: Bus, root: str) -> None:
    got: list[bytes] = []
    await bus.subscribe(root, lambda message: got.append(message.data))
    with pytest.raises(BusTimeoutError):
        await bus.publish_stored(root, b"", timeout_s=0.02, retry_for_s=5.0)
    assert len(got) == 1


async def test_a_publish_with_a_message_id_survives_a_server_restart(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    async with Bus.connect(server.url, name="test", options=BusOptions(reconnect_wait_s=0.01)) as bus:
        await bus.ensure_stream(StreamSpec("S", ("s.>",)))
        server.kill()
        await eventually(lambda: not bus.connected)
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(
                bus.publish_stored("s.x", b"", message_id="id", timeout_s=0.1, retry_for_s=20.0)
            )
            await asyncio.to_thread(server.start)
        assert publishing.result().sequence == 1


async def test_the_last_message_has_everything_that_was_stored(bus: Bus, root: str, stream: str) -> None:
    await bus.publish_stored(f"{root}.a", b"old")
    await bus.publish_stored(f"{root}.a", b"new", headers={"Mine": "1"}, message_id="id")
    direct = await bus.last_message(stream, f"{root}.a")
    assert direct is not None
    assert (direct.subject, direct.sequence, direct.data) == (f"{root}.a", 2, b"new")
    assert direct.headers == {"Mine": "1", "Nats-Msg-Id": "id"}
    assert direct.timestamp_s > 1.7e9
    assert await bus.last_message_at_leader(stream, f"{root}.a") == direct


async def test_the_last_message_is_found_by_wildcard(bus: Bus, root: str, stream: str) -> None:
    await bus.publish_stored(f"{root}.a", b"1")
    await bus.publish_stored(f"{root}.b", b"2")
    found = await bus.last_message(stream, f"{root}.*")
    assert found is not None
    assert found.subject == f"{root}.b"


async def test_no_last_message_is_none(bus: Bus, root: str, stream: str) -> None:
    assert await bus.last_message(stream, f"{root}.none") is None
    assert await bus.last_message_at_leader(stream, f"{root}.none") is None


async def test_reading_a_stream_that_does_not_exist_says_so(bus: Bus, root: str) -> None:
    with pytest.raises(NoStreamError):
        await bus.last_message(f"{root.upper()}_NONE", root)
    with pytest.raises(NotFoundError):
        await bus.last_message_at_leader(f"{root.upper()}_NONE", root)
    with pytest.raises(NoStreamError):
        await bus.read_stored(f"{root.upper()}_NONE", root)


async def test_pages_bring_every_matching_message_once_and_in_order(bus: Bus, root: str, stream: str) -> None:
    for number in range(25):
        await bus.publish(f"{root}.{'a' if number % 5 else 'b'}", b"%d" % number)
    await bus.publish_stored(f"{root}.last", b"")
    wanted = [b"%d" % number for number in range(25) if number % 5]
    read: list[bytes] = []
    page = await bus.read_stored(stream, f"{root}.a", batch=7)
    read += [message.data for message in page.messages]
    assert (len(read), page.remaining) == (7, 13)
    while page.remaining:
        page = await bus.read_stored(stream, f"{root}.a", start_sequence=page.next_sequence, batch=7)
        read += [message.data for message in page.messages]
    assert read == wanted


async def test_a_page_of_nothing_is_empty(bus: Bus, root: str, stream: str) -> None:
    assert await bus.read_stored(stream, f"{root}.none") == ([], 0)
    await bus.publish_stored(f"{root}.a", b"")
    assert await bus.read_stored(stream, f"{root}.a", start_sequence=99) == ([], 0)


async def test_a_page_stops_near_its_limit_of_bytes(bus: Bus, root: str, stream: str) -> None:
    for _ in range(10):
        await bus.publish_stored(f"{root}.a", b"x" * 10_000)
    page = await bus.read_stored(stream, f"{root}.a", max_bytes=30_000)
    assert 1 <= len(page.messages) <= 4
    assert page.remaining == 10 - len(page.messages)


async def test_reads_run_side_by_side(bus: Bus, root: str, stream: str) -> None:
    for number in range(10):
        await bus.publish_stored(f"{root}.{number}", b"%d" % number)
    async with asyncio.TaskGroup() as tasks:
        reads = [tasks.create_task(bus.read_stored(stream, f"{root}.{number}")) for number in range(10)]
    assert [read.result().messages[0].data for read in reads] == [b"%d" % number for number in range(10)]


async def test_a_deleted_message_is_gone(bus: Bus, root: str, stream: str) -> None:
    ack = await bus.publish_stored(f"{root}.a", b"")
    assert await bus.delete_message(stream, ack.sequence)
    assert not await bus.delete_message(stream, ack.sequence)
    assert await bus.last_message(stream, f"{root}.a") is None
    with pytest.raises(NotFoundError):
        await bus.delete_message(f"{stream}_NONE", 1)


async def test_a_refusal_carries_the_words_of_the_server(bus: Bus, root: str, stream: str) -> None:
    del stream
    with pytest.raises(BusRefusedError, match="wrong last msg ID") as caught:
        await bus.publish_stored(f"{root}.a", b"", headers={"Nats-Expected-Last-Msg-Id": "other"})
    assert caught.value.code == 10070
