"""A process that hosts tools and dies by SIGKILL where a call tells it to. Its effects stand in a file outside.

Usage: dying_worker.py <NATS URL> <root> <lease in seconds>. Says READY on standard output once it serves.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tokenbus.bus import Bus
from tokenbus_toolkit import JournalTimes, ServiceName, ToolContext, tool, tool_host

Moment = Literal["before effect", "after effect", "before reply", "never", "from outside"]
"""`from outside`: somebody else kills it; it takes its time, so that a kill finds it at work."""


def die_once(counter: Path) -> None:
    """The second process that comes here lives."""
    try:
        os.close(os.open(counter.with_suffix(".died"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def take_effect(counter: Path, key: str) -> None:
    with counter.open("a") as file:
        file.write(f"{key}\n")


class DyingBus(Bus):
    """Dies instead of sending the result of a call that asked for it."""

    dies_for: Path | None = None

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        reply: str = "",
        linger: bool = False,
    ) -> None:
        if self.dies_for is not None and payload.startswith(b'{"type":"result"'):
            die_once(self.dies_for)
        await super().publish(subject, payload, headers=headers, reply=reply, linger=linger)


async def main(url: str, root: str, lease_s: float) -> None:
    async with DyingBus.connect(url, name="dying-worker") as bus:

        def run(moment: Moment, counter: Path, context: ToolContext) -> str:
            if moment == "before effect":
                die_once(counter)
            take_effect(counter, context.key)
            if moment == "from outside":
                time.sleep(0.02)
            if moment == "after effect":
                die_once(counter)
            if moment == "before reply":
                bus.dies_for = counter
            return "done"

        @tool
        def once(moment: Moment, counter: Path, context: ToolContext) -> str:
            """Takes effect; must not do so twice."""
            return run(moment, counter, context)

        @tool(idempotent=True)
        async def repeatable(moment: Moment, counter: Path, context: ToolContext) -> str:
            """Takes effect; may do so twice."""
            return run(moment, counter, context)

        times = JournalTimes(lease_s=lease_s, renew_s=lease_s / 4)
        async with tool_host(bus, [once, repeatable], service=ServiceName("dying"), root=root, times=times):
            sys.stdout.write("READY\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
