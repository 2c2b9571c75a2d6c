"""Deploys: services are ended and replaced while answers run, and nobody who reads one notices."""

import asyncio
import json
from pathlib import Path

import pytest

import tokenbus
from tests.chaos import often
from tests.conftest import NatsServer, StartNatsServer, eventually
from tests.e2e.answers import Traffic
from tests.e2e.processes import MODEL, processes
from tokenbus.bus import Bus

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(often(300, chaos=1800))]

STREAMS = often(60, chaos=200)
EXECUTORS = often(2, chaos=4)


@pytest.fixture
def server(start_nats_server: StartNatsServer) -> NatsServer:
    return start_nats_server()


async def test_a_rolling_restart_of_all_executors_cuts_no_answer(server: NatsServer, tmp_path: Path) -> None:
    """The grace is long enough for the answers in hand."""
    async with processes(tmp_path, nats_url=server.url, script="ttft=100;rate=25;tokens=100") as system:
        await system.router()
        executors = [await system.executor(TOKENBUS_DRAIN_TIMEOUT_S="30") for _ in range(EXECUTORS)]
        async with tokenbus.connect(server.url) as client, asyncio.TaskGroup() as group:
            traffic = Traffic(client)
            traffic.begin(group, STREAMS)
            await eventually(lambda: all(outcome.events for outcome in traffic.outcomes), timeout_s=60)
            for leaving in executors:
                await system.executor()
                leaving.end()
                traffic.begin(group, STREAMS // 10)
                assert await leaving.ended() == 0
    assert all(outcome.is_whole for outcome in traffic.outcomes), traffic.endings
    assert not any(outcome.has_gap for outcome in traffic.outcomes)


async def test_answers_longer_than_the_grace_are_handed_on_and_end_whole(server: NatsServer, tmp_path: Path) -> None:
    """The next executor says them anew; whoever reads the text sees it once."""
    async with processes(tmp_path, nats_url=server.url, script="ttft=100;rate=20;tokens=100") as system:
        await system.router()
        leaving = await system.executor(TOKENBUS_DRAIN_TIMEOUT_S="0.5")
        async with tokenbus.connect(server.url) as client, asyncio.TaskGroup() as group:
            texts: list[tuple[str, str]] = []

            async def read() -> None:
                async with client.stream(model=MODEL, input="Tell me.", timeout_s=60) as stream:
                    shown = "".join([piece async for piece in stream.text])
                    texts.append((shown, (await stream.response()).output_text))

            readers = [group.create_task(read()) for _ in range(STREAMS // 4)]
            await _all_run(readers)
            await system.executor()
            leaving.end()
            assert await leaving.ended() == 0
    assert len(texts) == STREAMS // 4
    assert all(shown == final != "" for shown, final in texts)


async def _all_run(readers: list[asyncio.Task[None]]) -> None:
    """A moment in which every answer has begun and none has ended: they take 5 s."""
    await asyncio.sleep(1.5)
    assert not any(reader.done() for reader in readers)


async def test_a_router_that_ends_leaves_nothing_unanswered(server: NatsServer, tmp_path: Path) -> None:
    async with processes(tmp_path, nats_url=server.url, script="ttft=50;rate=100;tokens=20") as system:
        leaving = await system.router()
        await system.executor()
        async with tokenbus.connect(server.url) as client:
            traffic, done = Traffic(client), False

            async def replace() -> None:
                nonlocal done, leaving
                for _ in range(often(2, chaos=10)):
                    fresh = await system.router()
                    leaving.end()
                    assert await leaving.ended() == 0
                    leaving = fresh
                done = True

            async with asyncio.TaskGroup() as group:
                group.create_task(replace())
                await traffic.keep(10, until=lambda: done)
    assert all(outcome.is_whole for outcome in traffic.outcomes), traffic.endings


async def test_sigterm_while_nats_is_down_ends_a_service_soon(server: NatsServer, tmp_path: Path) -> None:
    async with processes(tmp_path, nats_url=server.url, script="ttft=60000") as system:
        services = [await system.router(), await system.executor(TOKENBUS_DRAIN_TIMEOUT_S="1"), await system.tools()]
        async with tokenbus.connect(server.url) as client:
            async with client.stream(model=MODEL, input="x", request_id="held", on_exit="continue"):
                await fetched(server.url)
            server.kill()
            for service in services:
                service.end()
            codes = [await service.ended(timeout_s=20) for service in services]
    assert codes == [0, 0, 0]


async def fetched(nats_url: str) -> None:
    """Returns when an executor has the one request in hand."""
    async with asyncio.timeout(20), Bus.connect(nats_url, name="tests-fetched") as bus:
        in_hand = 0
        while not in_hand:
            reply = await bus.request("$JS.API.CONSUMER.LIST.TOKENBUS_WORK", b"", timeout_s=5)
            in_hand = sum(consumer["num_ack_pending"] for consumer in json.loads(reply.data)["consumers"])


async def test_sigterm_while_starting_ends_a_service_at_once(server: NatsServer, tmp_path: Path) -> None:
    """An executor without a router waits for a catalog: it must still be possible to end it."""
    async with processes(tmp_path, nats_url=server.url, script="ttft=10") as system:
        waiting = await system.launch_executor()
        await eventually(lambda: bool(waiting.said()), timeout_s=30)
        waiting.end()
        assert await waiting.ended(timeout_s=10) == 0
