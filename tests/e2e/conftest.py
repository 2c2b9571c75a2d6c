"""The whole system in its own processes, as `tokenbus up` starts it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

import tokenbus
from tokenbus import Client

TOKENBUS = str(Path(sys.executable).with_name("tokenbus"))
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RunningTokenbus:
    """A Tokenbus that runs."""

    nats_url: str
    gateway_url: str
    """The gateway's base URL, with `/v1`. It has no keys."""
    simulator_url: str
    said: str
    """What `tokenbus up` printed."""


def without_provider_keys() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningTokenbus]:
    """Shared by all tests of this folder: nobody may stop a part of it."""
    folder = tmp_path_factory.mktemp("up")
    with (folder / "services.log").open("wb") as log:
        command = [TOKENBUS, "up", "--port", "-1", "--gateway-port", "-1", "--store", str(folder / "nats")]
        command += ["--script", "ttft=5;rate=400"]
        process = subprocess.Popen(
            command, env=without_provider_keys(), cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield _announced(process, log=folder / "services.log")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=START_TIMEOUT_S)
            assert process.returncode == 0, (folder / "services.log").read_text()[-4000:]


def _announced(process: subprocess.Popen[str], *, log: Path) -> RunningTokenbus:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Try:"):
            nats = re.search(r"nats://\S+", said)
            urls = re.findall(r"http://[^\s,]+", said)
            assert nats is not None
            gateway, simulator = urls
            return RunningTokenbus(nats.group(), gateway, simulator, said)
    raise AssertionError(f"tokenbus up ended: {said}\n{log.read_text()[-4000:]}")


@pytest.fixture
async def client(running: RunningTokenbus) -> AsyncGenerator[Client]:
    async with tokenbus.connect(running.nats_url) as connected:
        yield connected
