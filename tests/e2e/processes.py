"""Tokenbus as processes of which each may be killed, frozen, ended and replaced, on a NATS that may be, too."""

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conftest import eventually
from tokenbus_local.environment import ProviderKeys, executor_environment, plain_environment
from tokenbus_local.service_process import service
from tokenbus_local.simulator import simulator

MODEL = "openai/gpt-4.1-mini"
QUICK: Mapping[str, str] = {"TOKENBUS_ACK_WAIT_S": "3", "TOKENBUS_DRAIN_TIMEOUT_S": "10"}
"""Settings of services in tests: the same rules, sooner."""


class Service:
    """One process of one service."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, *, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        """As a deploy does."""
        self.process.send_signal(signal.SIGTERM)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def ended(self, *, timeout_s: float = 30.0) -> int:
        """The exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    def said(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    async def says(self, message: str, *, timeout_s: float = 30.0) -> None:
        """Returns when it has logged this."""
        await eventually(lambda: any(line["message"] == message for line in self.said()), timeout_s=timeout_s)


class Processes:
    """The services of one Tokenbus, on one NATS. Made by `processes()`."""

    def __init__(self, *, nats_url: str, simulator_url: str, folder: Path, exits: AsyncExitStack) -> None:
        self.nats_url = nats_url
        self.folder = folder
        self._plain = {**plain_environment(), "TOKENBUS_NATS_URL": nats_url, **QUICK}
        self._with_keys = {
            **executor_environment(ProviderKeys({}), simulator_url=simulator_url),
            "TOKENBUS_NATS_URL": nats_url,
            **QUICK,
        }
        self._exits = exits
        self._started = 0

    async def router(self, **settings: str) -> Service:
        """One more, ready."""
        return await self._start("router", "tokenbus_router", {**self._plain, **settings})

    async def executor(self, **settings: str) -> Service:
        """One more, ready."""
        return await self._start("executor", "tokenbus_executor", {**self._with_keys, **settings})

    async def tools(self, **settings: str) -> Service:
        """One more, ready."""
        modules = {"TOKENBUS_TOOLS_MODULES": "tokenbus_local.example_tools"}
        return await self._start("tools", "tokenbus_tools", {**self._plain, **modules, **settings})

    async def launch_executor(self, **settings: str) -> Service:
        """One more, just started."""
        return await self._start("executor", "tokenbus_executor", {**self._with_keys, **settings}, wait=False)

    async def _start(self, kind: str, module: str, environment: Mapping[str, str], *, wait: bool = True) -> Service:
        self._started += 1
        name = f"{kind}-{self._started}"
        path = self.folder / f"{name}.log"
        log = self._exits.enter_context(path.open("wb"))
        scratch = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="tokenbus-")))
        started = service(name, module, environment=environment, scratch=scratch, log=log)
        starting = await self._exits.enter_async_context(started)
        running = Service(name, starting.service.process, log=path)
        self._exits.callback(_thaw, running)
        if wait:
            await starting.ready()
        return running


def _thaw(running: Service) -> None:
    if running.process.returncode is None:
        running.thaw()


@asynccontextmanager
async def processes(folder: Path, *, nats_url: str, script: str) -> AsyncGenerator[Processes]:
    """A simulator that answers by `script`, and no service yet. All that is started is ended on leaving."""
    async with AsyncExitStack() as exits:
        log = exits.enter_context((folder / "simulator.log").open("wb"))
        simulated = simulator(script=script, environment=plain_environment(), log=log)
        _, url = await exits.enter_async_context(simulated)
        yield Processes(nats_url=nats_url, simulator_url=url, folder=folder, exits=exits)
