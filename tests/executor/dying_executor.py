"""An executor process that dies, or stands still, at a point of a tool round that the request's id names.

Usage: dying_executor.py <NATS URL> <root> <ack wait in seconds> <folder of marks> <signal to itself>

A request id is <point>-<anything>; the points are in `POINTS`. Only the first process that comes to a request's point
falls there: it leaves a mark, a file with its process id. Says READY on standard output once it works; SIGTERM lets it
finish what it has.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tests.executor.conftest import KEY, QUICK
from tokenbus.bus import Bus
from tokenbus.stored import StoredAck
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings

Point = Literal[
    "before_checkpoint",
    "after_checkpoint",
    "calls_sent",
    "outputs_in_hand",
    "outputs_shown",
    "next_round_begun",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)


class DyingBus(Bus):
    """Falls where the executor writes or publishes what marks a point."""

    marks: Path
    signal: int

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        reply: str = "",
        linger: bool = False,
    ) -> None:
        is_event = ".events." in subject
        outputs = is_event and b'"function_call_output"' in payload and b'"response.completed"' not in payload
        if outputs:
            await self._reach("outputs_in_hand", subject)
        await super().publish(subject, payload, headers=headers, reply=reply, linger=linger)
        if ".tools." in subject:
            await self._reach("calls_sent", payload.decode())
        if outputs:
            await self._reach("outputs_shown", subject)
        if is_event and b'"output_index":2' in payload:
            await self._reach("next_round_begun", subject)

    async def publish_stored(self, subject: str, payload: bytes, **options: Any) -> StoredAck:
        is_checkpoint = "_checkpoints." in subject
        if is_checkpoint:
            await self._reach("before_checkpoint", subject)
        ack = await super().publish_stored(subject, payload, **options)
        if is_checkpoint:
            await self._reach("after_checkpoint", subject)
        return ack

    async def _reach(self, point: Point, text: str) -> None:
        """`text` holds the request id somewhere."""
        place = text.find(f"{point}-")
        if place < 0:
            return
        request_id = text[place:].split(".")[0].split('"')[0]
        try:
            mark = os.open(self.marks / request_id, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return
        os.write(mark, str(os.getpid()).encode())
        os.close(mark)
        await self.flush()  # what was published before is out
        os.kill(os.getpid(), self.signal)


async def main(url: str, root: str, ack_wait_s: float, marks: Path, fall: int) -> None:
    changes: dict[str, Any] = {**QUICK, "nats_url": url, "root": root, "ack_wait_s": ack_wait_s, "slots": 1}
    settings = ExecutorSettings(**changes)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with DyingBus.connect(url, name="dying-executor") as bus:
        bus.marks, bus.signal = marks, fall
        async with executing(bus, settings=settings, keyring=Keyring({"LAB_KEY": KEY})) as parts:
            (worker,) = parts.workers
            async with worker.running():
                sys.stdout.write("READY\n")
                sys.stdout.flush()
                await ended.wait()
                await worker.stop()
                await worker.finish(deadline_s=20)


if __name__ == "__main__":
    url, root, ack_wait, marks, fall = sys.argv[1:]
    asyncio.run(main(url, root, float(ack_wait), Path(marks), int(fall)))
