"""The simulator as a process, in OpenAI's place."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import IO

from tokenbus_local.nats_server import stop_process
from tokenbus_local.service_process import READY_TIMEOUT_S, ServiceDiedError, ServiceProcess

STOP_GRACE_S = 2.0


@asynccontextmanager
async def simulator(
    *, script: str, environment: Mapping[str, str], log: IO[bytes] | None
) -> AsyncGenerator[tuple[ServiceProcess, str]]:
    """The process and its base URL, once it listens; stopped on leaving. Raises `ServiceDiedError`.

    `script` sets how it answers, such as `ttft=150;rate=60`: 150 ms to the first token, then 60 tokens a second.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tokenbus_simulator", "--script", script),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr if log is None else log,
        start_new_session=True,
    )
    try:
        yield ServiceProcess("simulator", process), await _announced_url(process)
    finally:
        await stop_process(process, grace_s=STOP_GRACE_S)


async def _announced_url(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise ServiceDiedError("simulator", process.returncode)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise ServiceDiedError("simulator", None) from error
    if not line:
        raise ServiceDiedError("simulator", await process.wait())
    return line.decode().strip()
