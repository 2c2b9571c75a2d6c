"""A cluster of three real nats-servers, to be killed, frozen, cut off and led out.

Every route between two nodes runs through a TCP link of ours, one for each direction. Cutting them leaves a node as a
broken switch does: alive, reachable for its clients, and alone. The nodes advertise an address where nobody listens, so
that no route goes around the links.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conftest import NatsServer, eventually, port_of
from tokenbus.bus import Bus, StreamSpec
from tokenbus.errors import BusError

NODES = ("a", "b", "c")
MEETING_S = 60.0
"""How long three servers on a busy machine may take to become one cluster."""


class Link:
    """A TCP address that leads to another one, while it is not cut."""

    def __init__(self) -> None:
        self._target = 0
        self._whole = True
        self._pipes: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()
            await eventually(lambda: not self._pipes)

    def lead_to(self, port: int) -> None:
        self._target = port

    def cut(self) -> None:
        """Nothing gets through any more, in either direction."""
        self._whole = False
        for pipe in self._pipes:
            pipe.transport.abort()

    def mend(self) -> None:
        self._whole = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole or not self._target:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._pipes |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pour(reader, back))
                group.create_task(_pour(there, writer))
        finally:
            self._pipes -= ends


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class NatsCluster:
    """Three nodes. Made by `nats_cluster()`."""

    def __init__(self, nodes: Mapping[str, NatsServer], links: Mapping[tuple[str, str], Link]) -> None:
        self.nodes = nodes
        self._links = links

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes.values()]

    def node_at(self, url: str) -> str:
        """The name of the node that has this client address."""
        return next(name for name, node in self.nodes.items() if port_of(node.url) == port_of(url))

    def others(self, name: str) -> list[str]:
        return [other for other in self.nodes if other != name]

    def start(self, name: str) -> None:
        """A node that was killed, with its store."""
        self.nodes[name].start()
        self.join(name)

    def cut_off(self, name: str) -> None:
        """The node sees no other one, and its clients do not notice."""
        for ends, link in self._links.items():
            if name in ends:
                link.cut()

    def join_again(self, name: str) -> None:
        for ends, link in self._links.items():
            if name in ends:
                link.mend()

    async def leader(self, stream: str) -> str:
        """The node that leads `stream`, as soon as one does."""
        async with asyncio.timeout(MEETING_S):
            while True:
                for node in self.nodes.values():
                    if node.running and (named := await _leader_seen_by(node.url, stream)):
                        return named

    def join(self, name: str) -> None:
        """Lead the links to where this node listens now."""
        port = port_of(self.nodes[name].ports["cluster"][0])
        for (_, target), link in self._links.items():
            if target == name:
                link.lead_to(port)


async def _leader_seen_by(url: str, stream: str) -> str:
    try:
        async with asyncio.timeout(5), Bus.connect(url, name="tests-leader") as bus:
            reply = await bus.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout_s=2.0)
    except (BusError, TimeoutError):
        return ""
    info: dict[str, Any] = json.loads(reply.data)
    return str(info.get("cluster", {}).get("leader") or "")


@asynccontextmanager
async def nats_cluster(folder: Path, *, config: str = "") -> AsyncGenerator[NatsCluster]:
    """A cluster whose JetStream takes streams of three replicas when this yields. `config` is added to each node's."""
    async with AsyncExitStack() as exits:
        links = {(here, there): Link() for here in NODES for there in NODES if here != there}
        for link in links.values():
            await exits.enter_async_context(link.open())
        nodes: dict[str, NatsServer] = {}
        for name in NODES:
            routes = [links[name, other].port for other in NODES if other != name]
            nodes[name] = NatsServer(folder / name, config=_config(name, routes=routes) + config)
            exits.callback(nodes[name].kill)
        cluster = NatsCluster(nodes, links)
        for name in NODES:
            cluster.join(name)
        await _meet(cluster)
        yield cluster


async def _meet(cluster: NatsCluster) -> None:
    """Returns when a replicated stream can be made."""
    async with asyncio.timeout(MEETING_S), Bus.connect(cluster.urls, name="tests-meet") as bus:
        while True:
            try:
                await bus.ensure_stream(StreamSpec("MEET", ("meet",), replicas=3))
                await bus.delete_stream("MEET")
            except BusError:
                await asyncio.sleep(0.1)
            else:
                return


def _config(name: str, *, routes: Sequence[int]) -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = unused.getsockname()[1]
    addresses = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
    return f"""
server_name: {name}
jetstream: {{max_file_store: 200GB, max_memory_store: 1GB}}
cluster: {{
  name: tests
  listen: "127.0.0.1:-1"
  advertise: "127.0.0.1:{nowhere}"
  routes: [{addresses}]
}}
"""
