"""A cluster of three servers loses one: whoever was attached to it moves, and nothing acknowledged is lost."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.chaos import long
from tests.conftest import eventually
from tests.nats_cluster import NatsCluster, nats_cluster
from tokenbus.bus import Bus, BusOptions, StreamSpec
from tokenbus.errors import BusError, BusOverflowError

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

S = StreamSpec("S", ("s.>",), replicas=3, allow_direct=True)
QUICK = BusOptions(stalled_for_s=2.0, ping_interval_s=60.0)
"""Pings would find a frozen server, too: here they are too rare to."""
WITHIN_S = 60.0
"""Elections and moves on a busy machine."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[NatsCluster]:
    async with nats_cluster(tmp_path) as running:
        yield running


def node_of(bus: Bus, cluster: NatsCluster) -> str:
    url = bus.nats_client.connected_url
    return "" if url is None else cluster.node_at(url.netloc)


async def attach(cluster: NatsCluster, bus: Bus, name: str) -> None:
    """Returns when the bus is on this node."""
    async with asyncio.timeout(WITHIN_S):
        while node_of(bus, cluster) != name:
            await bus.nats_client.force_reconnect()
            await eventually(lambda: bus.connected)


async def store_until_taken(bus: Bus, payload: bytes) -> None:
    """As those do who must: again and again, under one id."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await bus.publish_stored("s.x", payload, message_id=payload.decode(), timeout_s=1.0)
            except BusError:
                await asyncio.sleep(0.1)
            else:
                return


async def all_stored(cluster: NatsCluster, wanted: list[bytes]) -> None:
    """Returns when the stream has these messages: a replica may be a moment behind."""
    found: list[bytes] = []
    async with asyncio.timeout(WITHIN_S):
        while found != wanted:
            with contextlib.suppress(BusError):
                async with Bus.connect(cluster.urls, name="count") as bus:
                    found = [message.data for message in (await bus.read_stored("S", "s.x", timeout_s=1.0)).messages]


@pytest.mark.parametrize("of", ["leader", pytest.param("follower", marks=long)])
async def test_a_publisher_on_a_node_that_is_cut_off_moves_to_the_majority(cluster: NatsCluster, of: str) -> None:
    async with Bus.connect(cluster.urls, name="publisher", options=QUICK) as bus:
        await bus.ensure_stream(S)
        leader = await cluster.leader("S")
        lonely = leader if of == "leader" else cluster.others(leader)[0]
        await attach(cluster, bus, lonely)
        await store_until_taken(bus, b"before")
        cluster.cut_off(lonely)
        await store_until_taken(bus, b"after")
        assert node_of(bus, cluster) != lonely
        cluster.join_again(lonely)
        await all_stored(cluster, [b"before", b"after"])


@long
async def test_one_who_only_probes_moves_off_a_node_that_is_cut_off(
    cluster: NatsCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus.connect(cluster.urls, name="idle", options=QUICK) as bus:
        await bus.ensure_stream(S)
        lonely = node_of(bus, cluster)
        cluster.cut_off(lonely)
        async with asyncio.timeout(WITHIN_S):
            while node_of(bus, cluster) == lonely:
                try:
                    await bus.probe(timeout_s=1.0)
                except BusError:
                    await asyncio.sleep(0.2)
        assert "connected, but JetStream does not answer; moving to another server" in caplog.messages


async def test_a_frozen_server_with_bytes_on_their_way_is_left(cluster: NatsCluster) -> None:
    async with Bus.connect(cluster.urls, name="publisher", options=QUICK) as bus:
        await bus.ensure_stream(S)
        frozen = node_of(bus, cluster)
        cluster.nodes[frozen].freeze()
        with contextlib.suppress(BusOverflowError):
            while True:  # until it is more than the sockets hold
                await bus.publish("elsewhere", bytes(500_000))
        await store_until_taken(bus, b"after")
        assert node_of(bus, cluster) != frozen
    cluster.nodes[frozen].thaw()
    await all_stored(cluster, [b"after"])


@pytest.mark.parametrize("how", ["kill", pytest.param("lame_duck", marks=long), pytest.param("stop", marks=long)])
async def test_acknowledged_messages_survive_the_end_of_their_leader(cluster: NatsCluster, how: str) -> None:
    async with Bus.connect(cluster.urls, name="publisher", options=QUICK) as bus:
        await bus.ensure_stream(S)
        leader = await cluster.leader("S")
        await attach(cluster, bus, leader)
        for number in range(20):
            if number == 10:
                getattr(cluster.nodes[leader], how)()
            await store_until_taken(bus, b"%d" % number)
        await all_stored(cluster, [b"%d" % number for number in range(20)])
