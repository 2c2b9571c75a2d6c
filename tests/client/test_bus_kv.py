"""Key-value buckets, and following one."""

import asyncio

import pytest

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import BucketSpec, Bus, BusOptions, KvChange
from tokenbus.errors import NoStreamError, WrongLastSequenceError

QUICK = BusOptions(reconnect_wait_s=0.01, reconnect_wait_max_s=0.05)


@pytest.fixture
async def bucket(bus: Bus, root: str) -> str:
    name = f"{root}_b"
    await bus.ensure_bucket(BucketSpec(name))
    return name


async def test_a_value_is_read_as_it_was_written(bus: Bus, bucket: str) -> None:
    revision = await bus.kv_put(bucket, "a.b/c=d_e-F", b"\x00value")
    entry = await bus.kv_get(bucket, "a.b/c=d_e-F")
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("a.b/c=d_e-F", b"\x00value", revision)
    assert entry.written_s > 1.7e9


async def test_an_unknown_key_is_none(bus: Bus, bucket: str) -> None:
    assert await bus.kv_get(bucket, "none") is None


async def test_an_unknown_bucket_is_an_error(bus: Bus, root: str) -> None:
    with pytest.raises(NoStreamError):
        await bus.kv_get(f"{root}_none", "k")
    with pytest.raises(NoStreamError):
        await bus.kv_put(f"{root}_none", "k", b"")


async def test_create_succeeds_once(bus: Bus, bucket: str) -> None:
    await bus.kv_create(bucket, "k", b"1")
    with pytest.raises(WrongLastSequenceError):
        await bus.kv_create(bucket, "k", b"2")
    entry = await bus.kv_get(bucket, "k")
    assert entry is not None
    assert entry.value == b"1"


async def test_a_deleted_key_can_be_created_again(bus: Bus, bucket: str) -> None:
    await bus.kv_create(bucket, "k", b"1")
    await bus.kv_delete(bucket, "k")
    assert await bus.kv_get(bucket, "k") is None
    await bus.kv_create(bucket, "k", b"2")
    with pytest.raises(WrongLastSequenceError):
        await bus.kv_create(bucket, "k", b"3")


async def test_update_and_delete_take_only_the_current_revision(bus: Bus, bucket: str) -> None:
    first = await bus.kv_put(bucket, "k", b"1")
    second = await bus.kv_update(bucket, "k", b"2", revision=first)
    with pytest.raises(WrongLastSequenceError) as caught:
        await bus.kv_update(bucket, "k", b"3", revision=first)
    assert caught.value.actual == second
    with pytest.raises(WrongLastSequenceError):
        await bus.kv_delete(bucket, "k", revision=first)
    await bus.kv_delete(bucket, "k", revision=second)
    await bus.kv_delete(bucket, "never-was-there")


@pytest.mark.parametrize("key", ["", ".", "a..b", "a b", "*", ">", "a.", "ü"])
async def test_an_impossible_key_is_named(bus: Bus, bucket: str, key: str) -> None:
    with pytest.raises(ValueError, match="key "):
        await bus.kv_put(bucket, key, b"")


async def test_a_watcher_is_told_what_is_there_then_what_changes(bus: Bus, bucket: str) -> None:
    changes: list[KvChange] = []
    await bus.kv_put(bucket, "a", b"0")
    one = await bus.kv_put(bucket, "a", b"1")
    two = await bus.kv_put(bucket, "b", b"2")
    await bus.kv_put(bucket, "gone", b"")
    await bus.kv_delete(bucket, "gone")
    watch = await bus.kv_watch(bucket, changes.append)
    assert changes == [KvChange("a", b"1", one), KvChange("b", b"2", two)]
    changes.clear()
    three = await bus.kv_put(bucket, "a", b"3")
    await bus.kv_delete(bucket, "b")
    await eventually(lambda: len(changes) == 2)
    assert changes == [KvChange("a", b"3", three), KvChange("b", None, three + 1)]
    await watch.stop()
    await bus.kv_put(bucket, "a", b"4")
    await bus.flush()
    assert len(changes) == 2


async def test_a_watcher_does_not_see_a_refused_write(bus: Bus, bucket: str) -> None:
    changes: list[KvChange] = []
    await bus.kv_watch(bucket, changes.append)
    await bus.kv_create(bucket, "k", b"1")
    with pytest.raises(WrongLastSequenceError):
        await bus.kv_create(bucket, "k", b"refused")
    await bus.kv_put(bucket, "end", b"")
    await eventually(lambda: len(changes) == 2)
    assert [change.value for change in changes] == [b"1", b""]


async def test_a_watcher_misses_nothing_written_while_it_starts(bus: Bus, nats_url: str, bucket: str) -> None:
    last: dict[str, bytes | None] = {}
    order: list[int] = []

    def on_change(change: KvChange) -> None:
        last[change.key] = change.value
        order.append(change.revision)

    async with Bus.connect(nats_url, name="writer") as writer:

        async def write() -> None:
            for number in range(300):
                await writer.kv_put(bucket, f"k{number % 30}", b"%d" % number)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            await asyncio.sleep(0)
            await bus.kv_watch(bucket, on_change)
    await eventually(lambda: len(last) == 30 and last["k29"] == b"299")
    assert last == {f"k{number % 30}": b"%d" % number for number in range(270, 300)}
    assert order == sorted(order)


async def test_a_bucket_of_many_pages_is_loaded_whole(bus: Bus, bucket: str) -> None:
    changes: list[KvChange] = []
    for number in range(600):
        await bus.publish(f"$KV.{bucket}.k{number}", b"%d" % number)
    await bus.kv_put(bucket, "last", b"")
    await bus.kv_watch(bucket, changes.append)
    assert len(changes) == 601


async def test_an_expired_key_is_told_as_deleted_and_can_be_created_again(bus: Bus, bucket: str) -> None:
    changes: list[KvChange] = []
    await bus.kv_watch(bucket, changes.append)
    await bus.kv_create(bucket, "k", b"1", ttl_s=0.1)
    await eventually(lambda: len(changes) == 2)
    assert (changes[1].key, changes[1].value) == ("k", None)
    assert await bus.kv_get(bucket, "k") is None
    await bus.kv_create(bucket, "k", b"2")


async def test_a_watcher_catches_up_after_a_restart(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    changes: list[KvChange] = []
    async with (
        Bus.connect(server.url, name="watcher", options=QUICK) as bus,
        Bus.connect(server.url, name="writer", options=QUICK) as writer,
    ):
        await bus.ensure_bucket(BucketSpec("b"))
        kept = await writer.kv_put("b", "kept", b"1")
        await writer.kv_put("b", "changed", b"1")
        await bus.kv_watch("b", changes.append)
        server.kill()
        await eventually(lambda: not bus.connected and not writer.connected)
        changes.clear()
        server.start()
        await eventually(lambda: bus.connected and writer.connected)
        await writer.kv_put("b", "changed", b"2")
        await eventually(lambda: bool(changes))
    assert changes == [KvChange("changed", b"2", kept + 2)]


async def test_a_watcher_of_a_bucket_that_was_lost_is_told_so(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    changes: list[KvChange] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:
        await bus.ensure_bucket(BucketSpec("b"))
        for number in range(5):
            await bus.kv_put("b", "filler", b"%d" % number)
        await bus.kv_put("b", "lost", b"1")
        await bus.kv_watch("b", changes.append)
        server.kill()
        server.lose_store()
        server.start()
        await eventually(lambda: bus.reconnects == 1)
        changes.clear()
        await bus.ensure_bucket(BucketSpec("b"))
        await bus.kv_put("b", "new", b"2")
        await eventually(lambda: len(changes) == 3)
    assert {(change.key, change.value) for change in changes} == {("filler", None), ("lost", None), ("new", b"2")}
