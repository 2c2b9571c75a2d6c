"""What the NATS server keeps for us does not grow with the answers that run: no consumer is ever made for one."""

import asyncio
import json
from pathlib import Path

import pytest

import tokenbus
from tests.chaos import often
from tests.conftest import StartNatsServer, eventually
from tests.e2e.answers import Traffic
from tests.e2e.processes import processes
from tokenbus.bus import Bus

STREAMS = often(200, chaos=5000)


@pytest.mark.chaos
@pytest.mark.timeout(often(300, chaos=1800))
async def test_consumers_stay_constant_under_many_streams(start_nats_server: StartNatsServer, tmp_path: Path) -> None:
    server = start_nats_server()
    async with (
        processes(tmp_path, nats_url=server.url, script="ttft=2000;rate=5;tokens=20") as system,
        Bus.connect(server.url, name="tests-count") as bus,
        tokenbus.connect(server.url) as client,
        asyncio.TaskGroup() as group,
    ):
        await system.router()
        for _ in range(2):
            await system.executor(TOKENBUS_SLOTS=str(STREAMS))
        before = await consumers(bus)
        traffic = Traffic(client)
        traffic.begin(group, STREAMS)
        await eventually(lambda: any(outcome.events for outcome in traffic.outcomes), timeout_s=60)
        counts = {await consumers(bus)}
        while any(outcome.ended == "not" for outcome in traffic.outcomes):
            counts.add(await consumers(bus))
            await asyncio.sleep(0.2)  # how often it is looked at
    assert before > 0
    assert counts == {before}
    assert traffic.endings == {"response.completed": STREAMS}


async def consumers(bus: Bus) -> int:
    """Of all streams."""
    reply = await bus.request("$JS.API.INFO", b"", timeout_s=10.0)
    return int(json.loads(reply.data)["consumers"])
