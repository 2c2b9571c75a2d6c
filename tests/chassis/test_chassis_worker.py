"""The pull loop on a real server: nothing waits, nothing is lost, whatever happens to either side."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, ConsumerSpec, StreamSpec
from tokenbus.errors import NoStreamError
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.pulls import PullTimes
from tokenbus_chassis.worker import Worker

QUICK = BusOptions(reconnect_wait_s=0.01, reconnect_wait_max_s=0.05)
ALERT = PullTimes(roomy_s=0.6, heartbeat_s=0.2, trouble_s=0.05)


class Queues:
    """A work queue of three classes under one root, and workers for it."""

    def __init__(self, bus: Bus, *, root: str, ack_wait_s: float = 15.0) -> None:
        self.bus = bus
        self.root = root
        self.stream = StreamSpec(f"{root.upper()}_W", (f"{root}.w.*",), retention="workqueue", discard="new")
        self.names = ["high", "middle", "low"]
        self.ack_wait_s = ack_wait_s

    async def ensure(self) -> None:
        await self.bus.ensure_stream(self.stream)
        for name in self.names:
            spec = ConsumerSpec(self.stream.name, name, f"{self.root}.w.{name}", ack_wait_s=self.ack_wait_s)
            await self.bus.ensure_consumer(spec)

    async def put(self, data: bytes, *, to: str = "middle", bus: Bus | None = None) -> None:
        await (bus or self.bus).publish_stored(f"{self.root}.w.{to}", data, retry_for_s=10.0)

    def worker(
        self,
        handler: Callable[[Delivery], Awaitable[None]],
        *,
        slots: int = 8,
        reserve: tuple[float, ...] = (),
        bus: Bus | None = None,
        times: PullTimes | None = None,
        heartbeat_s: float | None = None,
        retry_delays_s: tuple[float, ...] = (0.05,),
    ) -> Worker:
        return Worker(
            bus or self.bus,
            stream=self.stream.name,
            consumers=self.names,
            slots=slots,
            handler=handler,
            rank=self.names.index if reserve else lambda _: 0,
            reserve=reserve,
            ack_wait_s=self.ack_wait_s,
            heartbeat_s=heartbeat_s,
            repair=self.ensure,
            retry_delays_s=retry_delays_s,
            times=times,
        )

    async def state(self, name: str = "middle") -> dict[str, int]:
        """The server's numbers of a consumer."""
        reply = await self.bus.request(f"$JS.API.CONSUMER.INFO.{self.stream.name}.{name}", b"", timeout_s=2.0)
        return json.loads(reply.data)

    async def left(self) -> int:
        """Messages still in the queue."""
        reply = await self.bus.request(f"$JS.API.STREAM.INFO.{self.stream.name}", b"", timeout_s=2.0)
        return json.loads(reply.data)["state"]["messages"]

    async def holds(self, messages: int) -> None:
        """Returns when so many messages are left; acknowledgements take effect a moment after they are sent."""
        async with asyncio.timeout(5.0):
            while await self.left() != messages:
                pass

    async def emptied(self) -> None:
        await self.holds(0)


@pytest.fixture
async def queues(bus: Bus, root: str) -> Queues:
    made = Queues(bus, root=root)
    await made.ensure()
    return made


async def test_a_delivery_tells_all_about_its_message(queues: Queues) -> None:
    got: list[Delivery] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery)
        await delivery.ack()

    before = time.time()
    await queues.bus.publish_stored(f"{queues.root}.w.middle", b"data", headers={"Name": "value"})
    async with queues.worker(handler).running():
        await eventually(lambda: len(got) == 1)
    delivery = got[0]
    assert (delivery.subject, delivery.data, delivery.headers) == (
        f"{queues.root}.w.middle",
        b"data",
        {"Name": "value"},
    )
    assert (delivery.attempt, delivery.stream_sequence, delivery.consumer_sequence) == (1, 1, 1)
    assert (delivery.consumer, delivery.waiting) == ("middle", 0)
    assert before - 1 < delivery.timestamp_s < time.time() + 1
    await queues.emptied()


async def test_every_message_is_handled_once(queues: Queues) -> None:
    got: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data)
        await asyncio.sleep(0)
        await delivery.ack()

    wanted = [b"%d" % number for number in range(600)]
    async with queues.worker(handler, slots=5).running():
        for number, data in enumerate(wanted):
            await queues.bus.publish(f"{queues.root}.w.{queues.names[number % 3]}", data)
        await eventually(lambda: len(got) >= len(wanted))
        await queues.emptied()
    assert sorted(got) == sorted(wanted)


async def test_a_short_job_never_waits_for_a_long_one(queues: Queues) -> None:
    release = asyncio.Event()
    short: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.data == b"long":
            await release.wait()
        else:
            short.append(delivery.data)
        await delivery.ack()

    async with queues.worker(handler, slots=2).running() as worker:
        await queues.put(b"long")
        await eventually(lambda: worker.in_hand == 1)
        for _ in range(50):
            await queues.put(b"short")
        await eventually(lambda: len(short) == 50)
        release.set()
        await queues.emptied()


async def test_no_more_is_taken_than_there_are_slots(queues: Queues) -> None:
    release = asyncio.Event()
    most = 0

    async def handler(delivery: Delivery) -> None:
        nonlocal most
        most = max(most, worker.in_hand)
        await release.wait()
        await delivery.ack()

    for number in range(30):
        await queues.put(b"", to=queues.names[number % 3])
    worker = queues.worker(handler, slots=4)
    async with worker.running():
        await eventually(lambda: worker.in_hand == 4)
        pending = [(await queues.state(name))["num_ack_pending"] for name in queues.names]
        assert sum(pending) == 4
        release.set()
        await queues.emptied()
    assert most == 4


async def test_a_long_job_is_kept_by_heartbeats(bus: Bus, root: str) -> None:
    queues = Queues(bus, root=root, ack_wait_s=1.0)
    await queues.ensure()
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await asyncio.sleep(2.5)  # the job itself: longer than two ack_waits
        await delivery.ack()

    await queues.put(b"")
    async with queues.worker(handler).running(), queues.worker(handler).running():
        await eventually(lambda: len(attempts) == 1)
        await queues.emptied()
    assert attempts == [1]


async def test_a_message_that_comes_again_while_it_is_worked_on_is_not_started_twice(bus: Bus, root: str) -> None:
    """As after a partition that lasted longer than ack_wait."""
    queues = Queues(bus, root=root, ack_wait_s=0.5)
    await queues.ensure()
    release = asyncio.Event()
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await release.wait()
        await delivery.ack()

    silent = queues.worker(handler, heartbeat_s=1000.0)
    async with silent.running():
        await queues.put(b"")
        async with asyncio.timeout(5.0):
            while not (await queues.state())["num_redelivered"]:
                pass
        await queues.put(b"")
        await eventually(lambda: len(attempts) == 2)
        assert silent.in_hand == 2
        release.set()
        await queues.emptied()
    assert attempts == [1, 1]


async def test_a_failing_handler_hands_back_with_a_delay_and_is_tried_again(
    queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[tuple[int, float]] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append((delivery.attempt, time.monotonic()))
        if delivery.attempt < 3:
            raise ValueError("the prompt was secret")
        await delivery.ack()

    async with queues.worker(handler, retry_delays_s=(0.1, 0.2)).running():
        await queues.put(b"")
        await eventually(lambda: len(attempts) == 3)
        await queues.emptied()
    assert [attempt for attempt, _ in attempts] == [1, 2, 3]
    assert attempts[1][1] - attempts[0][1] >= 0.09
    assert attempts[2][1] - attempts[1][1] >= 0.19
    assert "a handler failed" in caplog.messages
    assert "secret" not in caplog.text


async def test_a_handler_that_settles_nothing_is_tried_again(queues: Queues) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 2:
            await delivery.ack()

    async with queues.worker(handler).running():
        await queues.put(b"")
        await eventually(lambda: attempts == [1, 2])
        await queues.emptied()


async def test_the_first_settlement_counts(queues: Queues) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await delivery.ack()
        await delivery.nak()

    async with queues.worker(handler).running():
        await queues.put(b"")
        await queues.emptied()
        await queues.put(b"")
        await queues.emptied()
    assert attempts == [1, 1]


async def test_a_message_that_is_given_up_never_comes_back(queues: Queues) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await delivery.term(reason="test")

    async with queues.worker(handler).running():
        await queues.put(b"")
        await queues.emptied()
    assert attempts == [1]


async def test_one_slot_serves_priority_first_and_starves_nobody(queues: Queues) -> None:
    order: list[str] = []

    async def handler(delivery: Delivery) -> None:
        order.append(delivery.consumer)
        await delivery.ack()

    for name in queues.names:
        for _ in range(20):
            await queues.put(b"", to=name)
    async with queues.worker(handler, slots=1).running():
        await eventually(lambda: len(order) == 60)
    first = order[:20]
    assert first.count("high") > first.count("middle")
    assert first.count("high") > first.count("low")
    assert {"middle", "low"} <= set(first)


async def test_urgent_messages_start_at_once_while_others_fill_their_slots_and_none_exceeds_them(
    queues: Queues,
) -> None:
    finish = asyncio.Event()
    started: list[str] = []

    async def handler(delivery: Delivery) -> None:
        started.append(delivery.consumer)
        await finish.wait()
        await delivery.ack()

    async def pending() -> list[int]:
        return [(await queues.state(name))["num_ack_pending"] for name in queues.names]

    async with queues.worker(handler, slots=10, reserve=(0.2, 0.5)).running():
        for _ in range(30):
            await queues.put(b"", to="low")
        await eventually(lambda: len(started) == 5)
        for _ in range(30):
            await queues.put(b"", to="middle")
        await eventually(lambda: len(started) == 8)
        assert await pending() == [0, 3, 5]
        await queues.put(b"", to="high")
        await queues.put(b"", to="high")
        await eventually(lambda: len(started) == 10)
        assert await pending() == [2, 3, 5]
        finish.set()
        await queues.emptied()


async def test_stopping_takes_nothing_more_and_lets_work_in_hand_go_on(queues: Queues) -> None:
    release = asyncio.Event()
    done: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        await release.wait()
        done.append(delivery.data)
        await delivery.ack()

    async with queues.worker(handler, slots=2).running() as worker:
        await queues.put(b"in hand")
        await eventually(lambda: worker.in_hand == 1)
        await worker.stop()
        await queues.put(b"later")
        async with asyncio.TaskGroup() as tasks:
            finishing = tasks.create_task(worker.finish(deadline_s=5.0))
            release.set()
        assert finishing.result() == 0
        assert done == [b"in hand"]
        await queues.holds(1)
    async with queues.worker(handler).running():
        await queues.emptied()
    assert done == [b"in hand", b"later"]


async def test_work_cut_short_is_at_once_with_another_worker(queues: Queues, nats_url: str) -> None:
    events: list[str] = []

    async def endless(delivery: Delivery) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            events.append(f"cancelled {delivery.attempt}")
            raise

    async def takes_over(delivery: Delivery) -> None:
        events.append(f"taken over {delivery.attempt}")
        await delivery.ack()

    async with Bus.connect(nats_url, name="other") as other, queues.worker(endless).running() as first:
        for _ in range(3):
            await queues.put(b"")
        await eventually(lambda: first.in_hand == 3)
        async with queues.worker(takes_over, bus=other).running():
            await first.stop()
            started = time.monotonic()
            assert await first.finish(deadline_s=0.05) == 3
            await eventually(lambda: len(events) == 6)
            assert time.monotonic() - started < 1.0, "ack_wait is 15 s"
    assert sorted(events) == ["cancelled 1"] * 3 + ["taken over 2"] * 3


async def attempts_of_next_worker(queues: Queues, *, messages: int) -> list[int]:
    """What another worker gets at once, long before ack_wait."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await delivery.ack()

    async with queues.worker(handler).running():
        await eventually(lambda: len(attempts) == messages, timeout_s=1.0)
    return attempts


async def test_leaving_a_worker_hands_back_what_it_has(queues: Queues) -> None:
    async def endless(_: Delivery) -> None:
        await asyncio.get_running_loop().create_future()

    for _ in range(5):
        await queues.put(b"")
    async with queues.worker(endless).running() as worker:
        await eventually(lambda: worker.in_hand == 5)
    assert await attempts_of_next_worker(queues, messages=5) == [2] * 5


async def test_a_worker_that_is_cancelled_hands_back_what_it_has(queues: Queues) -> None:
    async def endless(_: Delivery) -> None:
        await asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with queues.worker(endless).running() as worker:
            await queues.put(b"")
            await eventually(lambda: worker.in_hand == 1)
            in_hand.set()
            await asyncio.get_running_loop().create_future()

    in_hand = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work())
        await in_hand.wait()
        task.cancel()
    assert await attempts_of_next_worker(queues, messages=1) == [2]


async def test_a_worker_that_is_cut_off_rests(start_nats_server: StartNatsServer) -> None:
    """Its pulls are overdue, and there is nobody to ask again."""
    server = start_nats_server()

    async def handler(delivery: Delivery) -> None:
        await delivery.ack()

    async with Bus.connect(server.url, name="worker", options=BusOptions(reconnect_wait_s=5.0)) as bus:
        queues = Queues(bus, root="q")
        await queues.ensure()
        async with queues.worker(handler, times=PullTimes(roomy_s=0.1, heartbeat_s=0.05, grace_s=0.0)).running():
            server.kill()
            await eventually(lambda: not bus.connected)
            worked_s = time.process_time()
            await asyncio.sleep(1.5)  # what it does meanwhile is the fact that is looked at
            assert time.process_time() - worked_s < 0.5


async def test_a_worker_survives_a_killed_server(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    got: list[bytes] = []
    release = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        if delivery.data == b"long":
            await release.wait()
        got.append(delivery.data)
        await delivery.ack()

    async with (
        Bus.connect(server.url, name="worker", options=QUICK) as bus,
        Bus.connect(server.url, name="sender", options=QUICK) as sender,
    ):
        queues = Queues(bus, root="q")
        await queues.ensure()
        async with queues.worker(handler).running() as worker:
            await queues.put(b"long")
            await eventually(lambda: worker.in_hand == 1)
            for times in range(1, 4):
                server.kill()
                await eventually(lambda: not bus.connected and not sender.connected)
                server.start()
                await queues.put(b"%d" % times, bus=sender)
                await eventually(lambda: b"%d" % times in got)  # noqa: B023
            release.set()
            await queues.emptied()
    # An acknowledgement that the dying server had not written yet brings its message back.
    assert set(got) == {b"1", b"2", b"3", b"long"}
    assert got.count(b"long") == 1


async def test_a_worker_survives_a_server_that_lost_everything(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    got: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data)
        await delivery.ack()

    async with Bus.connect(server.url, name="worker", options=QUICK) as bus:
        queues = Queues(bus, root="q")
        await queues.ensure()
        async with queues.worker(handler, times=ALERT).running():
            for times in range(1, 3):
                server.kill()
                server.lose_store()
                await eventually(lambda: not bus.connected)
                server.start()
                await queues.put(b"%d" % times)
                await eventually(lambda: b"%d" % times in got)  # noqa: B023
            await queues.emptied()


async def test_repair_runs_after_a_reconnect_though_another_process_has_made_the_consumers(
    start_nats_server: StartNatsServer,
) -> None:
    """It makes more than consumers: the router's provider table, without which no executor starts."""
    server = start_nats_server()
    repairs: list[int] = []

    async def handler(delivery: Delivery) -> None:
        await delivery.ack()

    async def repair() -> None:
        repairs.append(1)
        if len(repairs) == 1:
            raise NoStreamError("electing")

    async with Bus.connect(server.url, name="worker", options=QUICK) as bus:
        queues = Queues(bus, root="q")
        await queues.ensure()
        names = queues.names
        worker = Worker(bus, stream=queues.stream.name, consumers=names, slots=8, handler=handler, repair=repair)
        async with worker.running():
            assert not repairs
            server.kill()
            await eventually(lambda: not bus.connected)
            server.start()
            await eventually(lambda: len(repairs) == 2)


async def test_a_deleted_consumer_is_made_again(queues: Queues) -> None:
    """The server tells open requests of it, but a request that crosses the deletion is lost without a word."""
    got: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data)
        await delivery.ack()

    async with queues.worker(handler, times=ALERT).running():
        await queues.put(b"1")
        await eventually(lambda: len(got) == 1)
        await queues.bus.delete_consumer(queues.stream.name, "middle")
        await queues.put(b"2")
        await eventually(lambda: b"2" in got)


async def test_a_deleted_stream_is_made_again(queues: Queues) -> None:
    """The server tells no pull request of it: only its silence does."""
    got: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data)
        await delivery.ack()

    async with queues.worker(handler, times=ALERT).running():
        await queues.put(b"1")
        await eventually(lambda: len(got) == 1)
        await queues.bus.delete_stream(queues.stream.name)
        await queues.put(b"2")
        await eventually(lambda: len(got) == 2)


async def test_a_worker_waits_for_consumers_that_another_service_makes(bus: Bus, root: str) -> None:
    queues = Queues(bus, root=root)
    got: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data)
        await delivery.ack()

    worker = Worker(bus, stream=queues.stream.name, consumers=queues.names, slots=8, handler=handler, times=ALERT)
    async with worker.running():
        await bus.flush()
        await queues.ensure()
        await queues.put(b"1")
        await eventually(lambda: len(got) == 1)


async def test_a_dead_side_task_stops_the_worker_loudly(queues: Queues) -> None:
    async def broken() -> None:
        raise ValueError("broken")

    async def handler(_: Delivery) -> None: ...

    worker = Worker(queues.bus, stream="NONE", consumers=["none"], slots=1, handler=handler, repair=broken, times=ALERT)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5.0), worker.running():
            await asyncio.get_running_loop().create_future()
    assert caught.group_contains(ValueError)


def test_a_consumer_named_twice_is_refused(bus: Bus) -> None:
    async def handler(_: Delivery) -> None: ...

    with pytest.raises(ValueError, match="a, b, a names one twice"):
        Worker(bus, stream="S", consumers=["a", "b", "a"], slots=1, handler=handler)


async def test_workers_share_a_queue(queues: Queues, nats_url: str) -> None:
    got: dict[str, int] = {"one": 0, "two": 0}

    def handler(name: str) -> Callable[[Delivery], Awaitable[None]]:
        async def handle(delivery: Delivery) -> None:
            got[name] += 1
            await asyncio.sleep(0.002)
            await delivery.ack()

        return handle

    async with (
        Bus.connect(nats_url, name="other") as other,
        queues.worker(handler("one"), slots=4).running(),
        queues.worker(handler("two"), slots=4, bus=other).running(),
    ):
        for _ in range(200):
            await queues.bus.publish(f"{queues.root}.w.middle", b"")
        await queues.bus.flush()
        await queues.emptied()
    assert sum(got.values()) == 200
    assert min(got.values()) > 20
