"""Classes share an executor: a flood of one leaves free what is kept for more urgent ones."""

from typing import Final

from tests.conftest import eventually
from tests.executor.conftest import Desk, StartExecutor, target
from tokenbus_schemas import PriorityClass

SLOTS: Final = 10
FILLS: Final[dict[PriorityClass, int]] = {"priority": 10, "standard": 9, "low": 8}
"""How many slots a class and those after it may fill."""
ENDLESS: Final = "sim;tokens=300;rate=1"


async def flood(desk: Desk, priority_class: PriorityClass) -> list[str]:
    return [await desk.send(desk.order(target(ENDLESS), priority_class=priority_class)) for _ in range(2 * SLOTS)]


async def pending(desk: Desk, priority_class: PriorityClass) -> int:
    """Messages that executors have taken from a queue."""
    consumer = desk.stored.work_consumer(desk.stored.pools[0], priority_class)
    return (await desk.bus.consumer_state(consumer.stream, consumer.name)).ack_pending


async def test_a_priority_request_is_answered_while_low_fills_every_slot_that_it_may(
    desk: Desk, start_executor: StartExecutor
) -> None:
    async with start_executor(slots=SLOTS):
        flooding = await flood(desk, "low")
        await eventually(lambda: sum(bool(desk.live[one]) for one in flooding) == FILLS["low"], timeout_s=30)
        assert await pending(desk, "low") == FILLS["low"]

        await desk.ask("sim;tokens=3", priority_class="priority")
        await desk.ask("sim;tokens=3", priority_class="standard")
        assert await pending(desk, "low") == FILLS["low"]


async def test_an_executor_never_takes_more_than_it_has_slots_for(desk: Desk, start_executor: StartExecutor) -> None:
    async with start_executor(slots=SLOTS):
        low = await flood(desk, "low")
        await eventually(lambda: sum(bool(desk.live[one]) for one in low) == FILLS["low"], timeout_s=30)
        standard = await flood(desk, "standard")
        await eventually(lambda: sum(bool(desk.live[one]) for one in standard) == 1, timeout_s=30)
        priority = await flood(desk, "priority")
        await eventually(lambda: sum(bool(desk.live[one]) for one in priority) == 1, timeout_s=30)

        taken = [await pending(desk, one) for one in FILLS]
        assert taken == [1, 1, 8]
