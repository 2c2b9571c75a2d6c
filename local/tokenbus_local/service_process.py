"""Service processes on this machine: started, awaited until they say that they are ready, stopped."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tokenbus_local.nats_server import stop_process

READY_TIMEOUT_S = 20.0
STOP_GRACE_S = 15.0


class ServiceDiedError(Exception):
    """A service ended by itself, or did not become ready in time. Attributes: `name`, `code` (None: still running)."""

    def __init__(self, name: str, code: int | None) -> None:
        self.name = name
        self.code = code
        what = f"ended with exit code {code}" if code is not None else f"was not ready within {READY_TIMEOUT_S:g} s"
        super().__init__(f"the {name} {what}; its log says why")


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """One running service."""

    name: str
    process: asyncio.subprocess.Process

    async def watch(self) -> None:
        """Returns never; raises `ServiceDiedError` when the process ends."""
        raise ServiceDiedError(self.name, await self.process.wait())


class Announcements:
    """The socket on which a service says that it is ready (systemd's sd_notify protocol)."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.settimeout(0)

    def close(self) -> None:
        self._socket.close()

    async def ready(self) -> str:
        """Returns when `READY=1` came, with the status that came with it, or ""."""
        loop = asyncio.get_running_loop()
        while not (said := await loop.sock_recv(self._socket, 4096)).startswith(b"READY=1"):
            pass
        return said.decode().partition("STATUS=")[2]


@dataclass(frozen=True, slots=True)
class StartingService:
    """A service that may not be ready yet."""

    service: ServiceProcess
    announcements: Announcements

    async def ready(self) -> str:
        """Returns when the service has announced itself, with its status. Raises `ServiceDiedError`."""
        code: int | None = None
        status = ""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S), asyncio.TaskGroup() as group:
                ended = group.create_task(self.service.process.wait())
                announced = group.create_task(self.announcements.ready())
                await asyncio.wait({ended, announced}, return_when=asyncio.FIRST_COMPLETED)
                code = ended.result() if ended.done() else None
                status = announced.result() if announced.done() else ""
                ended.cancel()
                announced.cancel()
        except TimeoutError as error:
            raise ServiceDiedError(self.service.name, None) from error
        if code is not None:
            raise ServiceDiedError(self.service.name, code)
        return status


@asynccontextmanager
async def service(
    name: str, module: str, *, environment: Mapping[str, str], scratch: Path, log: IO[bytes] | None = None
) -> AsyncGenerator[StartingService]:
    """`python -m module` as a process of its own session; SIGTERM and a grace of 15 s on leaving.

    `log` takes its output; None: our own standard error.
    """
    announcements = Announcements(scratch / f"{name}.sock")
    output = sys.stderr if log is None else log
    try:
        # A session of its own: Ctrl-C reaches only us, and we stop the services in their order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            env={**environment, "NOTIFY_SOCKET": str(announcements.address)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield StartingService(ServiceProcess(name, process), announcements)
        finally:
            await stop_process(process, grace_s=STOP_GRACE_S)
    finally:
        announcements.close()
