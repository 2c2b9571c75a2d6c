"""The router outlives its server."""

import asyncio

from tests.conftest import StartNatsServer, eventually
from tests.router.conftest import GOOD, open_desk, running_router, soon
from tokenbus.bus import Bus
from tokenbus_schemas import WorkOrder


async def test_after_a_server_came_back_empty_requests_are_served_and_executors_find_their_table(
    start_nats_server: StartNatsServer,
) -> None:
    server = start_nats_server()
    async with running_router(server.url, "bus"), Bus.connect(server.url, name="desk") as bus:
        desk = await open_desk(bus, "bus")
        await desk.send(GOOD, "before")
        await soon(desk.work)
        server.kill()
        server.lose_store()
        server.start()
        await eventually(lambda: bus.reconnects > 0 and bus.connected)
        await desk.send(GOOD, "after", retry_for_s=20.0)
        assert WorkOrder.model_validate_json((await soon(desk.work)).data).request_id == "after"
        assert await bus.kv_get(desk.stored.catalog.name, "providers") is not None
        async with asyncio.timeout(10):
            while (await desk.replay("after"))["state"] != "queued":  # its note follows its work
                pass
