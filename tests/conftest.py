"""Real NATS servers for every test: one for the session, further ones where a test kills or configures its own."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tokenbus.bus import Bus

START_TIMEOUT_S = 10.0
CONFIG = """
max_payload: 1MB
jetstream: {max_file_store: 200GB, max_memory_store: 1GB}
"""


class NatsServer:
    """A nats-server of ours, with JetStream in `store`. Its port stays the same over `kill` and `start`."""

    def __init__(self, store: Path, *, config: str = CONFIG, arguments: Sequence[str] = ()) -> None:
        self.store = store
        self._scratch = store.with_name(f"{store.name}-run")
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._config = self._scratch / "nats.conf"
        self._config.write_text(config)
        self._arguments = list(arguments)
        self._port = -1
        self.ports: Mapping[str, Sequence[str]] = {}
        """Its addresses by what they are for: `nats`, and as configured `cluster` and `monitoring`."""
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it listens; the ports file is written after that, so there is no race."""
        for stale in self._scratch.glob("*.ports"):
            stale.unlink()
        command = [str(Path(sys.executable).with_name("nats-server")), "-c", str(self._config), "-a", "127.0.0.1"]
        command += ["-p", str(self._port), "-sd", str(self.store), "--ports_file_dir", str(self._scratch)]
        command += ["-l", str(self._scratch / "nats.log"), *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            for path in self._scratch.glob("*.ports"):
                text = path.read_text()
                if text.endswith("}"):
                    self.ports = json.loads(text)
                    self._port = port_of(self.ports["nats"][0])
                    return
            time.sleep(0.005)
        raise RuntimeError(f"nats-server did not start: {(self._scratch / 'nats.log').read_text()[-2000:]}")

    @property
    def running(self) -> bool:
        return self._process is not None

    def lame_duck(self) -> None:
        """As a rolling upgrade does: it hands its leaderships on, sends its clients away one by one, and ends."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        """As a power cut: SIGKILL. The store stays."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator does: SIGTERM."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reconfigure(self, config: str) -> None:
        """A running server reads it at once, a stopped one when it starts."""
        self._config.write_text(config)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def lose_store(self) -> None:
        """For a killed server: it comes back empty."""
        self.store = self.store.with_name(f"{self.store.name}-{secrets.token_hex(4)}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(timeout=START_TIMEOUT_S)
        self._process = None


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


class StartNatsServer(Protocol):
    def __call__(self, *, config: str = CONFIG, arguments: Sequence[str] = ()) -> NatsServer: ...


@pytest.fixture(scope="session")
def nats_server() -> Generator[NatsServer]:
    """The session's server. Shared: stay under your own `root`, and do not stop it."""
    with tempfile.TemporaryDirectory(prefix="tokenbus-test-nats-") as directory:
        server = NatsServer(Path(directory) / "store")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url


@pytest.fixture
def start_nats_server(tmp_path: Path) -> Generator[StartNatsServer]:
    """Starts a server of the test's own, to be killed, frozen or configured: `start_nats_server(config=…)`."""
    with ExitStack() as stack:

        def start(*, config: str = CONFIG, arguments: Sequence[str] = ()) -> NatsServer:
            server = NatsServer(tmp_path / f"nats-{secrets.token_hex(4)}", config=config, arguments=arguments)
            stack.callback(server.kill)
            return server

        yield start


@pytest.fixture
async def root(nats_url: str) -> AsyncGenerator[str]:
    """A fresh root token on the session's server; what was made under it is deleted afterwards."""
    token = f"t{secrets.token_hex(6)}"
    yield token
    async with Bus.connect(nats_url, name="tests-cleanup") as bus:
        for name in await bus.stream_names():
            if name.startswith((f"{token.upper()}_", f"KV_{token}_")):
                await bus.delete_stream(name)


@pytest.fixture
async def bus(nats_url: str) -> AsyncGenerator[Bus]:
    """A connection to the session's server."""
    async with Bus.connect(nats_url, name="tests") as connected:
        yield connected


async def eventually(fact: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    """Returns when `fact()` holds; fails the test otherwise."""
    async with asyncio.timeout(timeout_s):
        while not fact():  # noqa: ASYNC110 - the facts are of other processes, which set no event
            await asyncio.sleep(0.002)
