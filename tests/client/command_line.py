"""The `tokenbus` command, run as a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

TOKENBUS = str(Path(sys.executable).with_name("tokenbus"))


class Outcome(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Cli:
    """Runs command lines against one root."""

    def __init__(self, server: str, *, root: str) -> None:
        self.environment = {"PATH": os.environ.get("PATH", ""), "TOKENBUS_NATS_URL": server}
        self._root = root

    @asynccontextmanager
    async def started(
        self, *arguments: str, stdin: int = DEVNULL, stdout: int = PIPE, environment: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Process]:
        process = await asyncio.create_subprocess_exec(
            TOKENBUS,
            *arguments,
            "--root",
            self._root,
            stdin=stdin,
            stdout=stdout,
            stderr=PIPE,
            env={**self.environment, **(environment or {})},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(
        self, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
    ) -> Outcome:
        async with self.started(
            *arguments, stdin=DEVNULL if stdin is None else PIPE, environment=environment
        ) as process:
            return await finished(process, stdin=stdin)


async def finished(process: Process, *, stdin: bytes | None = None) -> Outcome:
    stdout, stderr = await process.communicate(stdin)
    assert process.returncode is not None
    return Outcome(process.returncode, (stdout or b"").decode(), stderr.decode())
