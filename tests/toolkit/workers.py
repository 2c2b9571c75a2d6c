"""Processes that host tools, to be killed, and what their tools have done."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

LEASE_S = 1.0
WORKER = Path(__file__).with_name("dying_worker.py")
StartWorker = Callable[[], Awaitable[asyncio.subprocess.Process]]


async def workers(nats_url: str, root: str) -> AsyncGenerator[StartWorker]:
    """For a fixture: starts a worker and waits until it serves."""
    started: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), nats_url, root, str(LEASE_S), stdout=asyncio.subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"READY\n"
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def effects(counter: Path) -> Counter[str]:
    """How often each call took effect, by its key."""
    return Counter(counter.read_text().split()) if counter.exists() else Counter()
