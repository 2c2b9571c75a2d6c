"""The NATS server is killed, loses its store, or stands still, while requests run: every accepted one ends."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import tokenbus
from tests.chaos import long, often
from tests.conftest import NatsServer, StartNatsServer, eventually
from tests.e2e.answers import Outcome, Traffic, ask
from tests.e2e.processes import Processes, processes
from tokenbus.bus import Bus

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(often(300, chaos=1800))]

SCRIPT = "ttft=100;rate=40;tokens=60"
RESTARTS = often(3, chaos=20)


@pytest.fixture
def server(start_nats_server: StartNatsServer) -> NatsServer:
    return start_nats_server()


@pytest.fixture
async def system(server: NatsServer, tmp_path: Path) -> AsyncGenerator[Processes]:
    """A router and two executors."""
    async with processes(tmp_path, nats_url=server.url, script=SCRIPT) as running:
        # As deployed: the server may be away for longer than the short ack_wait of other tests.
        await running.router(TOKENBUS_ACK_WAIT_S="15")
        await running.executor(TOKENBUS_ACK_WAIT_S="15")
        await running.executor(TOKENBUS_ACK_WAIT_S="15")
        yield running


async def queued(nats_url: str, count: int) -> None:
    """Returns when that much work waits for an executor, and the router has done with it."""

    async def waiting(bus: Bus, stream: str) -> int:
        return len((await bus.read_stored(f"TOKENBUS_{stream}", ">")).messages)

    async with asyncio.timeout(30), Bus.connect(nats_url, name="tests-queued") as bus:
        while await waiting(bus, "WORK") < count or await waiting(bus, "REQUESTS"):
            pass


async def test_every_accepted_request_ends_over_restarts_of_the_server(server: NatsServer, system: Processes) -> None:
    async with tokenbus.connect(system.nats_url) as client:
        traffic = Traffic(client)
        done = False

        async def restart() -> None:
            nonlocal done
            for _ in range(RESTARTS):
                seen = len(traffic.outcomes)
                await eventually(lambda seen=seen: len(traffic.outcomes) > seen + 10, timeout_s=90)
                server.kill()
                await asyncio.sleep(random.choice([0.0, 0.5, 3.0]))  # how long it is away
                server.start()
            done = True

        async with asyncio.TaskGroup() as group:
            group.create_task(restart())
            await traffic.keep(20, until=lambda: done)
    accepted = [outcome for outcome in traffic.outcomes if outcome.ended not in ("BusTimeoutError", "NoRouterError")]
    assert {outcome.ended for outcome in accepted} == {"response.completed"}, traffic.endings
    assert all(outcome.final for outcome in accepted)
    # What was on its way when the server died may be lost for its readers until the end, and never silently.
    assert all(outcome.is_whole or outcome.has_gap for outcome in accepted)


async def test_what_a_lost_store_held_is_sent_again_or_reported(server: NatsServer, tmp_path: Path) -> None:
    """Requests wait in their queue, no executor runs yet: then all of NATS is lost."""
    async with processes(tmp_path, nats_url=server.url, script=SCRIPT) as system:
        await system.router()
        async with tokenbus.connect(server.url) as client, asyncio.TaskGroup() as group:
            traffic = Traffic(client)
            traffic.begin(group, 10)
            with_tools = Outcome()
            group.create_task(ask(client, with_tools, tools=[{"type": "function", "name": "f"}]))
            await queued(server.url, 11)
            server.kill()
            server.lose_store()
            server.start()
            await system.executor()
    assert traffic.endings == {"response.completed": 10}
    assert all(outcome.is_whole for outcome in traffic.outcomes)
    assert with_tools.ended == "AnswerLostError"


async def test_running_answers_go_on_over_the_loss_of_the_store(server: NatsServer, system: Processes) -> None:
    async with tokenbus.connect(system.nats_url) as client, asyncio.TaskGroup() as group:
        traffic = Traffic(client)
        traffic.begin(group, 20)
        await eventually(lambda: all(len(outcome.events) > 10 for outcome in traffic.outcomes), timeout_s=30)
        server.kill()
        server.lose_store()
        server.start()
    assert traffic.endings == {"response.completed": 20}


@pytest.mark.parametrize("seconds", [10.0, pytest.param(30.0, marks=long)])
async def test_a_server_that_stands_still_delays_and_loses_nothing(
    server: NatsServer, system: Processes, seconds: float
) -> None:
    async with tokenbus.connect(system.nats_url) as client, asyncio.TaskGroup() as group:
        traffic = Traffic(client)
        traffic.begin(group, 20)
        await eventually(lambda: all(len(outcome.events) > 10 for outcome in traffic.outcomes), timeout_s=30)
        server.freeze()
        await asyncio.sleep(seconds)  # the fault itself
        server.thaw()
    assert all(outcome.is_whole for outcome in traffic.outcomes), traffic.endings
