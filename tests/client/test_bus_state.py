"""How full streams and queues are, as a real server says it."""

import pytest

from tests.conftest import eventually
from tokenbus.bus import Bus, ConsumerSpec, ConsumerState, Message, StreamSpec
from tokenbus.errors import NotFoundError


@pytest.fixture
async def stream(bus: Bus, root: str) -> str:
    spec = StreamSpec(root.upper(), (f"{root}.*.*",))
    await bus.ensure_stream(spec)
    for subject, messages in (("a.one", 3), ("a.two", 1), ("b.one", 2)):
        for _ in range(messages):
            await bus.publish_stored(f"{root}.{subject}", b"")
    return spec.name


async def test_messages_are_counted_by_subject(bus: Bus, root: str, stream: str) -> None:
    assert await bus.subject_counts(stream, f"{root}.a.*") == {f"{root}.a.one": 3, f"{root}.a.two": 1}
    assert await bus.subject_counts(stream, f"{root}.none.*") == {}


async def test_a_subject_is_emptied_up_to_a_sequence(bus: Bus, root: str, stream: str) -> None:
    assert await bus.purge_subject(stream, f"{root}.a.one", before_sequence=3) == 2
    assert await bus.subject_counts(stream, f"{root}.*.one") == {f"{root}.a.one": 1, f"{root}.b.one": 2}


async def test_a_queue_tells_what_waits_in_it_and_what_was_taken(bus: Bus, root: str, stream: str) -> None:
    await bus.ensure_consumer(ConsumerSpec(stream, "queue", f"{root}.a.*"))
    assert await bus.consumer_state(stream, "queue") == ConsumerState(waiting=4, ack_pending=0)
    inbox = bus.new_inbox()
    taken: list[Message] = []
    await bus.subscribe(inbox, taken.append)
    await bus.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.queue", b"", reply=inbox)
    await eventually(lambda: len(taken) == 1)
    assert await bus.consumer_state(stream, "queue") == ConsumerState(waiting=3, ack_pending=1)


async def test_what_does_not_exist_is_named(bus: Bus, root: str, stream: str) -> None:
    with pytest.raises(NotFoundError, match="consumer not found"):
        await bus.consumer_state(stream, "none")
    with pytest.raises(NotFoundError, match="stream not found"):
        await bus.subject_counts(f"{root}_none", ">")
