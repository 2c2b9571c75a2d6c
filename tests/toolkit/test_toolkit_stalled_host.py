"""A host whose event loop stands still for longer than its lease: taken for dead, it has nothing to say afterwards."""

import asyncio
import threading

from tests.conftest import eventually
from tests.toolkit.conftest import Calling, StartHost, hosted
from tokenbus_toolkit import ToolContext, tool


async def test_call_whose_host_stands_still_is_unknown_and_stays_so(
    nats_url: str, root: str, host: StartHost, calling: Calling
) -> None:
    ran: list[str] = []
    serving, go_on = threading.Event(), threading.Event()

    @tool
    async def rude(context: ToolContext) -> str:
        ran.append(context.key)
        go_on.wait(timeout=30)  # on the event loop: no claim is renewed meanwhile
        return "done"

    async def elsewhere() -> None:
        async with hosted(nats_url, rude, root=root):
            serving.set()
            await eventually(go_on.is_set, timeout_s=40)

    async with asyncio.TaskGroup() as group:
        thread = group.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
        try:
            await eventually(serving.is_set, timeout_s=20)
            call = calling.make("rude")
            first = group.create_task(calling.send(call))
            await eventually(lambda: bool(ran))
            await host(rude)
            told = await first
        finally:
            go_on.set()
        await thread

    assert (told.outcome, ran) == ("unknown", [call.key])
    assert (await calling.send(call)).outcome == "unknown"
