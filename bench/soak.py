"""A mixed load that goes on and on: `python -m bench.soak [minutes]`, 30 unless said otherwise.

Every service runs as a process of its own, with one executor. Twenty lanes send one request after the other: answers of
two seconds, some with a tool, some watched by a second reader, some left half-way, which cancels them. Memory and the
first token of a request beside all that are taken every ten seconds and printed each minute.

At the end: the slope of each process's memory, a straight line through what comes after the first fifth of the time,
and the first token's latency in the first and the last third of it. Both must be flat; nats-server keeps the streams of
the last minutes and is flat only once they have reached their age.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Final

import uvloop

import tokenbus
from bench.machine import machine, rss_bytes
from bench.report import Row, percentile, table
from bench.scenarios import SHORT, bus_first_token_s
from tokenbus import Client
from tokenbus.params import JsonObject
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.stack import stack

MINUTES: Final = 30.0
LANES: Final = 20
SAMPLE_S: Final = 10.0
PLAIN: Final = "openai/sim@ttft:100@rate:50@tokens:100"
WITH_TOOL: Final = "openai/sim@ttft:100@rate:50@tokens:40@call:get_stock"
TOOLS: Final[Sequence[JsonObject]] = [{"type": "function", "name": "get_stock"}]
_MIB: Final = 2**20


@dataclass(slots=True)
class Soak:
    """What was sent and seen so far."""

    client: Client
    pids: Mapping[str, int]
    ends_at: float
    """By the monotonic clock, as all times here."""
    ended: int = 0
    left: int = 0
    seconds: list[float] = field(default_factory=list[float])
    memory: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Bytes of each process, one for each of `seconds`."""
    first_token_s: list[float] = field(default_factory=list[float])

    async def lane(self) -> None:
        for number in itertools.count():
            if time.monotonic() >= self.ends_at:
                return
            match number % 4:
                case 0:
                    await self.watched()
                case 1:
                    await self.client.respond(model=WITH_TOOL, input="How much tea is there?", tools=TOOLS)
                    self.ended += 1
                case 2:
                    async with self.client.stream(model=PLAIN, input="x") as stream:
                        await stream.batch()
                    self.left += 1
                case _:
                    await self.client.respond(model=PLAIN, input="x")
                    self.ended += 1

    async def watched(self) -> None:
        """Somebody else reads along."""
        async with self.client.stream(model=PLAIN, input="x") as stream:
            async with self.client.attach(stream.request_id) as watching:
                await watching.response()
            await stream.response()
        self.ended += 1

    async def look(self) -> None:
        """Takes the samples, in their rhythm."""
        started = time.monotonic()
        for number in itertools.count(1):
            await asyncio.sleep(max(0.0, started + number * SAMPLE_S - time.monotonic()))
            if time.monotonic() >= self.ends_at:
                return
            self.first_token_s.append(await bus_first_token_s(self.client, SHORT))
            self.seconds.append(time.monotonic() - started)
            for name, pid in self.pids.items():
                self.memory.setdefault(name, []).append(rss_bytes(pid))
            if number % round(60 / SAMPLE_S) == 0:
                print(self.line(), flush=True)

    def line(self) -> str:
        memory = ", ".join(f"{name} {values[-1] / _MIB:.1f}" for name, values in self.memory.items())
        latest = 1000 * percentile(self.first_token_s[-6:], 50)
        return (
            f"{self.seconds[-1] / 60:5.1f} min: {self.ended} ended, {self.left} left, first token {latest:.1f} ms; "
            f"MiB: {memory}"
        )

    def rows(self) -> list[Row]:
        third = max(1, len(self.first_token_s) // 3)
        early, late = self.first_token_s[:third], self.first_token_s[-third:]
        rows = [
            Row("requests that ended, and that were left half-way", f"{self.ended} and {self.left}"),
            Row("first token, p50, first and last third", f"{_ms(early, 50)} and {_ms(late, 50)}", "flat"),
            Row("first token, p90, first and last third", f"{_ms(early, 90)} and {_ms(late, 90)}", "flat"),
        ]
        warm = len(self.seconds) // 5
        for name, values in self.memory.items():
            per_hour = 3600 * linear_regression(self.seconds[warm:], values[warm:]).slope / _MIB
            rows.append(Row(f"memory of {name}", f"{values[-1] / _MIB:.1f} MiB, {per_hour:+.1f} MiB an hour", "flat"))
        return rows


def _ms(seconds: Sequence[float], percent: float) -> str:
    return f"{1000 * percentile(seconds, percent):.1f} ms"


async def run(minutes: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tokenbus-bench-") as scratch,
        (Path(scratch) / "services.log").open("wb") as log,
    ):
        async with (
            stack(ProviderKeys({}), store=Path(scratch) / "nats", script="", log=log) as running,
            tokenbus.connect(running.nats_url) as client,
        ):
            pids = {"nats-server": running.nats_pid} | {one.name: one.process.pid for one in running.services}
            pids["client (this process)"] = os.getpid()
            soak = Soak(client, pids, ends_at=time.monotonic() + 60 * minutes)
            async with asyncio.TaskGroup() as group:
                group.create_task(soak.look())
                for _ in range(LANES):
                    group.create_task(soak.lane())
            print(table(f"Tokenbus under load for {minutes:g} minutes on {machine()}", soak.rows()))


if __name__ == "__main__":
    if os.environ.get("OPENAI_API_KEY"):
        sys.stderr.write("OPENAI_API_KEY is set and ignored: the soak always uses the simulator\n")
    uvloop.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES))
