"""The whole system on a cluster of three NATS servers, one of which is killed, cut off or led out."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import tokenbus
from tests.chaos import long
from tests.conftest import eventually
from tests.e2e.answers import Traffic
from tests.e2e.processes import Processes, processes
from tests.nats_cluster import NatsCluster, nats_cluster

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

REPLICATED = {"TOKENBUS_STREAM_REPLICAS": "3", "TOKENBUS_ACK_WAIT_S": "15"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[NatsCluster]:
    async with nats_cluster(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def system(cluster: NatsCluster, tmp_path: Path) -> AsyncGenerator[Processes]:
    """Two of each, so that no service is on one node alone."""
    async with processes(tmp_path, nats_url=",".join(cluster.urls), script="ttft=100;rate=20;tokens=100") as running:
        for _ in range(2):
            await running.router(**REPLICATED)
            await running.executor(**REPLICATED)
        yield running


@pytest.mark.parametrize(
    "fault",
    ["kill", pytest.param("lame_duck", marks=long), "cut_off"],
)
async def test_every_accepted_request_ends_when_a_leader_goes(
    cluster: NatsCluster, system: Processes, fault: str
) -> None:
    async with tokenbus.connect(system.nats_url) as client, asyncio.TaskGroup() as group:
        traffic = Traffic(client)
        traffic.begin(group, 20)
        await eventually(lambda: all(len(outcome.events) > 5 for outcome in traffic.outcomes), timeout_s=60)
        leader = await cluster.leader("TOKENBUS_RESULTS")
        if fault == "cut_off":
            cluster.cut_off(leader)
        else:
            getattr(cluster.nodes[leader], fault)()
        traffic.begin(group, 10)
    ended = {outcome.ended for outcome in traffic.outcomes}
    assert ended <= {"response.completed", "response.failed", "BusTimeoutError", "NoRouterError"}, traffic.endings
    assert traffic.endings["response.completed"] >= 20, traffic.endings
