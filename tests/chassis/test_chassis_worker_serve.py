"""A worker may be told to serve other queues while it works."""

import asyncio

from tests.chassis.test_chassis_worker import Queues
from tests.conftest import eventually
from tokenbus.bus import Bus
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.worker import Worker


async def test_queues_that_come_are_served_and_work_in_hand_goes_on(bus: Bus, root: str) -> None:
    queues = Queues(bus, root=root)
    await queues.ensure()
    got: list[str] = []
    finish = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data.decode())
        await finish.wait()
        await delivery.ack()

    worker = Worker(bus, stream=queues.stream.name, consumers=["middle"], slots=2, handler=handler)
    await queues.put(b"early", to="low")
    await queues.put(b"first")
    async with worker.running():
        await eventually(lambda: got == ["first"])
        await worker.serve(["middle", "low"])
        await eventually(lambda: got == ["first", "early"])
        await queues.put(b"late", to="middle")
        assert worker.in_hand == 2
        finish.set()
        await eventually(lambda: got == ["first", "early", "late"])
        await queues.emptied()


async def test_queues_that_go_are_pulled_from_no_more(bus: Bus, root: str) -> None:
    queues = Queues(bus, root=root)
    await queues.ensure()
    got: list[str] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery.data.decode())
        await delivery.ack()

    async with queues.worker(handler).running() as worker:
        await worker.serve(["high"])
        await queues.put(b"unseen", to="low")
        await queues.put(b"seen", to="high")
        await eventually(lambda: got == ["seen"])
        await queues.holds(1)
    assert got == ["seen"]
