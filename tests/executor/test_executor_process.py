"""Executors as processes: they fail over to each other, drain on SIGTERM, and tell no key."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.executor.conftest import ACK_WAIT_S, KEY, POOL, Desk, provider, target
from tests.executor.test_executor_answers import text_of
from tokenbus.bus import Bus
from tokenbus_chassis.topology import TopologyLimits, topology
from tokenbus_schemas import Pool
from tokenbus_schemas.work import ATTEMPTS_PER_HOP
from tokenbus_simulator import Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

FAR = Pool("far")


@pytest.fixture
async def desk(bus: Bus, root: str, simulator: Simulator) -> Desk:
    """Providers `lab` and `remote`, each with a pool of its own."""
    opened = Desk(bus, stored=topology(root, limits=TopologyLimits(ack_wait_s=ACK_WAIT_S), pools=[POOL, FAR]))
    await opened.open()
    await opened.publish_providers(provider(simulator), provider(simulator, name="remote", pool=FAR))
    return opened


@asynccontextmanager
async def executor(nats_url: str, root: str, **settings: str) -> AsyncGenerator[Process]:
    """A process that is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tokenbus_executor"),
        env={
            "PATH": os.environ.get("PATH", ""),
            "TOKENBUS_NATS_URL": nats_url,
            "TOKENBUS_ROOT": root,
            "TOKENBUS_ACK_WAIT_S": str(ACK_WAIT_S),
            "TOKENBUS_DRAIN_TIMEOUT_S": "5",
            "LAB_KEY": KEY,
            **settings,
        },
        stderr=PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(20):
            while '"message": "ready"' not in (await process.stderr.readline()).decode():
                assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_pools_of_different_processes_take_over_from_each_other(
    desk: Desk, nats_url: str, root: str, simulator: Simulator
) -> None:
    async with (
        executor(nats_url, root, TOKENBUS_EXECUTOR_POOLS="lab"),
        executor(nats_url, root, TOKENBUS_EXECUTOR_POOLS="far"),
    ):
        targets = target("sim-401"), target("plain", provider="remote", pool=FAR)
        events = await desk.answered(await desk.send(desk.order(*targets)), attempt=ATTEMPTS_PER_HOP + 1)

    assert events[-1]["response"]["tokenbus"]["provider"] == "remote"
    assert text_of(events) != ""
    assert [exchange.model for exchange in simulator.record] == ["sim-401", "plain"]


async def test_sigterm_lets_the_streams_in_hand_end(desk: Desk, nats_url: str, root: str) -> None:
    async with executor(nats_url, root) as process:
        request_id = await desk.send(desk.order(target("sim;rate=50;tokens=40")))
        await desk.until(request_id, lambda lines: len(lines) > 6)
        process.send_signal(signal.SIGTERM)
        events = await desk.answered(request_id)
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
        assert await process.wait() == 0

    assert events[-1]["type"] == "response.completed"
    await desk.nothing_left()
    ended = [line for line in map(json.loads, said.splitlines()) if line["message"] == "request ended"]
    assert [(line["provider"], line["outcome"]) for line in ended] == [("lab", "response.completed")]


async def test_a_process_without_keys_says_which_is_missing_and_serves_the_rest(
    desk: Desk, nats_url: str, root: str, simulator: Simulator
) -> None:
    await desk.publish_providers(
        provider(simulator, name="keyless", api_key_env="NOT_SET"), provider(simulator, api_key_env=None)
    )
    async with executor(nats_url, root, LAB_KEY="") as process:
        events = await desk.ask()
        process.send_signal(signal.SIGTERM)
        await process.wait()

    assert events[-1]["type"] == "response.completed"


async def test_a_killed_executor_s_request_goes_to_the_next_once_ack_wait_is_over(
    desk: Desk, nats_url: str, root: str, simulator: Simulator
) -> None:
    async with executor(nats_url, root) as first:
        request_id = await desk.send(desk.order(target("sim;ttft=60000")))
        async with asyncio.timeout(5):
            await simulator.record.wait_for(lambda exchange: True)
        first.kill()
    async with executor(nats_url, root):
        async with asyncio.timeout(ACK_WAIT_S + 4):
            await simulator.record.wait_for(lambda exchange: exchange.number == 2)
        assert await desk.stop(request_id)
        events = await desk.answered(request_id, attempt=2)

    assert events[-1]["response"]["status"] == "cancelled"
