"""Streams, consumers and buckets come to be as specified, whoever else is at it."""

import asyncio
from dataclasses import replace

import pytest

from tests.conftest import StartNatsServer
from tokenbus.bus import BucketSpec, Bus, ConsumerSpec, Drift, Ensured, StreamSpec
from tokenbus.errors import BusRefusedError, NoStreamError, NotFoundError
from tokenbus.stream_specs import WireConfig, drift


def stream_of(root: str) -> StreamSpec:
    return StreamSpec(f"{root.upper()}_W", (f"{root}.>",), retention="workqueue", discard="new", max_bytes=1_000_000)


def consumer_of(root: str) -> ConsumerSpec:
    return ConsumerSpec(f"{root.upper()}_W", "c", f"{root}.a", ack_wait_s=5.0)


async def test_a_stream_is_created_once(bus: Bus, root: str) -> None:
    spec = stream_of(root)
    assert await bus.ensure_stream(spec) == Ensured(spec.name, "created")
    assert await bus.ensure_stream(spec) == Ensured(spec.name, "unchanged")


async def test_a_drifted_stream_is_put_right_and_the_drift_told(bus: Bus, root: str) -> None:
    spec = stream_of(root)
    await bus.ensure_stream(spec)
    await bus.publish_stored(f"{root}.a", b"kept")
    wider = replace(spec, max_bytes=2_000_000, subjects=(f"{root}.>", f"{root}2.>"))
    ensured = await bus.ensure_stream(wider)
    assert ensured.outcome == "updated"
    assert [each.field for each in ensured.drift] == ["subjects", "max_bytes"]
    assert ensured.drift[1] == Drift("max_bytes", 1_000_000, 2_000_000)
    assert await bus.ensure_stream(wider) == Ensured(spec.name, "unchanged")
    assert await bus.last_message_at_leader(spec.name, f"{root}.a") is not None


async def test_what_can_not_be_changed_in_place_is_refused_by_name(bus: Bus, root: str) -> None:
    await bus.ensure_stream(stream_of(root))
    with pytest.raises(BusRefusedError, match="can not change retention policy"):
        await bus.ensure_stream(replace(stream_of(root), retention="limits"))


async def test_a_consumer_is_created_once_and_put_right(bus: Bus, root: str) -> None:
    await bus.ensure_stream(stream_of(root))
    spec = consumer_of(root)
    assert await bus.ensure_consumer(spec) == Ensured("c", "created")
    assert await bus.ensure_consumer(spec) == Ensured("c", "unchanged")
    changed = await bus.ensure_consumer(replace(spec, ack_wait_s=6.0))
    assert changed == Ensured("c", "updated", (Drift("ack_wait", 5_000_000_000, 6_000_000_000),))


async def test_a_consumer_of_no_stream_is_refused(bus: Bus, root: str) -> None:
    with pytest.raises(NotFoundError, match="stream not found"):
        await bus.ensure_consumer(consumer_of(root))


async def test_many_at_once_agree(bus: Bus, nats_url: str, root: str) -> None:
    outcomes: list[str] = []

    async def ensure() -> None:
        async with Bus.connect(nats_url, name="test") as own:
            outcomes.append((await own.ensure_stream(stream_of(root))).outcome)
            outcomes.append((await own.ensure_consumer(consumer_of(root))).outcome)
            await own.ensure_bucket(BucketSpec(f"{root}_b"))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(ensure())
    assert set(outcomes) <= {"created", "unchanged"}
    assert {f"{root.upper()}_W", f"KV_{root}_b"} <= set(await bus.stream_names())


async def test_many_with_two_opinions_end_with_one_of_them(bus: Bus, root: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            spec = replace(stream_of(root), max_bytes=1_000_000 + number % 2)
            tasks.create_task(bus.ensure_stream(spec))
    await bus.ensure_stream(stream_of(root))
    assert await bus.ensure_stream(stream_of(root)) == Ensured(f"{root.upper()}_W", "unchanged")


async def test_deleting_says_whether_it_was_there(bus: Bus, root: str) -> None:
    await bus.ensure_stream(stream_of(root))
    await bus.ensure_consumer(consumer_of(root))
    name = f"{root.upper()}_W"
    assert await bus.delete_consumer(name, "c")
    assert not await bus.delete_consumer(name, "c")
    assert await bus.delete_stream(name)
    assert not await bus.delete_stream(name)


async def test_a_server_without_jetstream_says_so(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config="jetstream: disabled")
    async with Bus.connect(server.url, name="test") as bus:
        with pytest.raises(NoStreamError):
            await bus.ensure_stream(StreamSpec("S", ("s",)))


def test_message_ids_are_forgotten_no_later_than_messages() -> None:
    """The server refuses a duplicate window that is longer than max_age."""
    assert StreamSpec("S", ("s",), max_age_s=30.0).to_wire()["duplicate_window"] == 30_000_000_000
    assert StreamSpec("S", ("s",)).to_wire()["duplicate_window"] == 120_000_000_000


def test_drift_ignores_what_the_spec_does_not_name_and_zeros_the_server_leaves_out() -> None:
    found: WireConfig = {"name": "S", "placement": {"cluster": "c"}, "max_bytes": 1}
    assert drift(found, {"name": "S", "allow_direct": False, "max_age": 0, "max_bytes": 1}) == ()
    assert drift(found, {"max_bytes": 2, "max_age": 5}) == (Drift("max_bytes", 1, 2), Drift("max_age", None, 5))
