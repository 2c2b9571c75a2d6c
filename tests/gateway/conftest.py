"""The gateway in two surroundings: before a scripted bus in this process, and before the whole system in its own."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.client.answerer import Answerer, answering
from tests.e2e.conftest import RunningTokenbus, running, without_provider_keys
from tokenbus import ReadingTimes
from tokenbus.bus import Bus
from tokenbus_gateway.access.access_file import AccessFile
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.app import Application
from tokenbus_gateway.bridge import Bridge, BridgeOptions
from tokenbus_gateway.edge import EdgeLimits
from tokenbus_gateway.endpoint import Gate, Times
from tokenbus_gateway.limits import Meter
from tokenbus_gateway.server import ServerOptions, listen, serving
from tokenbus_schemas import Subjects

__all__ = ["running"]

FAST = ReadingTimes(silence_s=0.2, gap_s=0.4, stored_gap_s=0.1, unknown_s=0.2, grace_s=0.3)
"""Patience in tests: the same rules, sooner."""
START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a test may change."""

    access: AccessFile = field(default_factory=AccessFile)
    environment: dict[str, str] = field(default_factory=dict[str, str])
    times: Times = field(default_factory=Times)
    edge: EdgeLimits = field(default_factory=EdgeLimits)
    max_body_bytes: int = 1024 * 1024
    buffer_bytes: int = 128 * 1024
    drain_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ScriptedGateway:
    """A gateway of this process. `answerer` is everything behind it."""

    host: str
    port: int
    bridge: Bridge

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@asynccontextmanager
async def gateway_before(bus: Bus, *, root: str, around: Surroundings) -> AsyncGenerator[ScriptedGateway]:
    """Serves on a free port while inside."""
    async with AsyncExitStack() as exits:
        listener = exits.enter_context(listen("127.0.0.1", 0))
        options = BridgeOptions(buffer_bytes=around.buffer_bytes, times=FAST)
        bridge = await exits.enter_async_context(Bridge(bus, subjects=Subjects(root), options=options))
        await bus.flush()
        gate = Gate(
            bridge=bridge,
            authenticator=Authenticator(around.access, environment=around.environment),
            meter=Meter(),
            times=around.times,
            max_body_bytes=around.max_body_bytes,
        )
        server = ServerOptions(max_message_bytes=around.max_body_bytes, drain_s=around.drain_s, edge=around.edge)
        await exits.enter_async_context(serving(Application(gate), listener, options=server))
        yield ScriptedGateway("127.0.0.1", int(listener.getsockname()[1]), bridge)


@pytest.fixture
async def answerer(bus: Bus, root: str) -> AsyncGenerator[Answerer]:
    async with answering(bus, root=root) as playing:
        yield playing


@pytest.fixture
def around() -> Surroundings:
    """Override it to change the gateway of a test."""
    return Surroundings()


@pytest.fixture
async def gateway(
    nats_url: str, root: str, answerer: Answerer, around: Surroundings
) -> AsyncGenerator[ScriptedGateway]:
    del answerer  # it must listen first
    async with (
        Bus.connect(nats_url, name="gateway") as bus,
        gateway_before(bus, root=root, around=around) as serving_one,
    ):
        yield serving_one


@pytest.fixture(scope="session")
def gateway_url(running: RunningTokenbus, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Base URL of a gateway process before the whole running system; shared."""
    with gateway_process(running, tmp_path_factory.mktemp("gateway")) as url:
        yield url


@contextmanager
def gateway_process(running: RunningTokenbus, folder: Path, **environment: str) -> Generator[str]:
    """A gateway of its own process; its base URL. Its log in `folder` must hold no error when it ends."""
    with started_gateway(running, folder, **environment) as started:
        yield started.url
        started.process.terminate()
        log = folder / "gateway.log"
        assert started.process.wait(timeout=START_TIMEOUT_S) == 0, log.read_text()[-4000:]
        assert '"ERROR"' not in log.read_text(), log.read_text()[-4000:]


@dataclass(frozen=True, slots=True)
class StartedGateway:
    """A process that may be killed."""

    process: subprocess.Popen[bytes]
    url: str


@contextmanager
def started_gateway(running: RunningTokenbus, folder: Path, **environment: str) -> Generator[StartedGateway]:
    """The same, however it ends."""
    log = folder / "gateway.log"
    variables = {**without_provider_keys(), "TOKENBUS_NATS_URL": running.nats_url, "TOKENBUS_GATEWAY_PORT": "0"}
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tokenbus_gateway"]
        process = subprocess.Popen(command, env={**variables, **environment}, stdout=output, stderr=output)
        try:
            yield StartedGateway(process, f"http://127.0.0.1:{_announced_port(process, log)}/v1")
        finally:
            process.kill()
            process.wait(timeout=START_TIMEOUT_S)


def _announced_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
            if entry.get("message") == "listening":
                return int(entry["port"])
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start: {log.read_text()[-4000:]}")
