"""Many answers that want a replay at once."""

import asyncio

from tests.conftest import eventually
from tokenbus.bus import Bus, Message
from tokenbus.replay import Replay
from tokenbus_schemas import ReplayPage


async def test_no_more_calls_are_on_their_way_than_may_and_all_are_answered(bus: Bus, root: str) -> None:
    waiting: list[Message] = []
    answered = 0

    await bus.subscribe(f"{root}.replay.>", waiting.append)
    await bus.flush()
    turns = asyncio.Semaphore(3)
    replays = [Replay(bus, subject=f"{root}.replay.default.r{number}", turns=turns) for number in range(10)]
    async with asyncio.TaskGroup() as tasks:
        pages = [tasks.create_task(replay.page(after=-1)) for replay in replays]
        while answered < len(replays):
            await eventually(lambda: bool(waiting))
            await bus.flush()
            assert len(waiting) <= 3
            reply = ReplayPage(state="queued", events=[], error=None)
            await bus.publish(waiting.pop(0).reply, reply.model_dump_json().encode())
            answered += 1
    assert [page.result().state for page in pages] == ["queued"] * 10
