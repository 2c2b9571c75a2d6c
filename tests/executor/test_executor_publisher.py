"""Numbers and messages: contiguous whatever interrupts, split where they would grow too large."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, Message
from tokenbus_executor.oversize import FRAME_BYTES
from tokenbus_executor.publisher import SPLIT_BYTES, EventPublisher
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, split_message

DELTA = Event("response.output_text.delta", b',"delta":"x"')
END = Event("response.completed", b',"response":{"output":[],"tokenbus":{}}')


async def fill(publisher: EventPublisher) -> int:
    """Publishes until every buffer on the way is full and the last publish is cancelled; how many events that were."""
    large = Event("tokenbus:x", b',"text":"%b"' % (b"a" * 200_000))
    events = 0
    try:
        async with asyncio.timeout(0.5):
            while True:
                events += 2
                await publisher.publish([DELTA, large])
    except TimeoutError:
        return events


async def test_whoever_is_cancelled_before_the_bus_took_its_events_loses_none(
    start_nats_server: StartNatsServer,
) -> None:
    server = start_nats_server()
    seen: list[EventLine] = []

    def collect(message: Message) -> None:
        seen.extend(split_message(message.data))

    options = BusOptions(high_water_bytes=0, flush_timeout_s=5.0)
    async with (
        Bus.connect(server.url, name="reader") as reader,
        Bus.connect(server.url, name="w", options=options) as bus,
    ):
        await reader.subscribe("events", collect)
        await reader.flush()
        publisher = EventPublisher(bus, subject="events", attempt=2)
        server.freeze()
        given = await fill(publisher)
        server.thaw()
        for message in publisher.last_words([DELTA, END]).messages:
            await publisher.send(message)
        await eventually(lambda: len(seen) == given + 2)

    assert [line.sequence_number for line in seen] == list(range(ATTEMPT_STRIDE, ATTEMPT_STRIDE + given + 2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 600_000), max_size=8))
async def test_last_words_hold_every_event_in_order_in_messages_that_the_bus_takes(bus: Bus, sizes: list[int]) -> None:
    publisher = EventPublisher(bus, subject="nowhere", attempt=1)
    events = [Event("tokenbus:x", b',"text":"%b"' % (b"a" * size)) for size in sizes]
    last = publisher.last_words([*events, END])

    lines = [line for message in last.messages for line in split_message(message)]
    assert [line.sequence_number for line in lines] == list(range(len(sizes) + 1))
    assert lines[-1].raw == last.line
    assert all(len(message) <= max(SPLIT_BYTES, 600_100) for message in last.messages)
    assert all(len(message) <= SPLIT_BYTES or b"\n" not in message for message in last.messages)


async def test_an_event_over_the_limit_of_the_bus_leaves_a_gap_and_the_end_still_fits(bus: Bus) -> None:
    publisher = EventPublisher(bus, subject="nowhere", attempt=1)
    huge = Event("tokenbus:x", b',"text":"%b"' % (b"a" * bus.max_payload))
    end = Event("response.completed", b',"response":{"output":["%b"],"tokenbus":{}}' % (b"a" * bus.max_payload))
    last = publisher.last_words([DELTA, huge, DELTA, end])

    lines = [line for message in last.messages for line in split_message(message)]
    assert [line.sequence_number for line in lines] == [0, 2, 3]
    assert lines[-1].type == "response.failed"
    assert len(last.line) <= bus.max_payload - FRAME_BYTES
