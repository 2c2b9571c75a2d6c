"""The gateway: `python -m bench.gateway`.

nats-server, router, executor and gateway share one core; the load client and the upstream have the other ones; each is
a process of its own. Direct calls of the upstream take turns with calls through the gateway.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvloop

from bench.http_load import Load, Seen, loading, result_of
from bench.machine import cpu_s, machine, pin, rss_bytes
from bench.report import Row, percentile, table
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.stack import Stack, stack

PREFIX: Final = "openai/"
ROUNDS: Final = 5
SHORT: Final = "sim@tokens:2"
SAMPLE_S: Final = 0.25


class Bench:
    """The running system, pinned."""

    def __init__(self, running: Stack) -> None:
        self._simulator = next(one.process.pid for one in running.services if one.name == "simulator")
        self.pids: Mapping[str, int] = {"nats-server": running.nats_pid} | {
            one.name: one.process.pid for one in running.services if one.name not in ("simulator", "tools")
        }
        cores = sorted(os.sched_getaffinity(0))
        self.cores = set(cores[1:]) or set(cores)
        for pid in self.pids.values():
            pin(pid, {cores[0]})
        pin(self._simulator, self.cores)
        self._direct, self._gateway = running.simulator_url or "", running.gateway_url or ""

    async def direct(self, script: str, *, streams: int = 1, rounds: int = 1, stream: bool = True) -> Seen:
        return await self._ask(self._load(self._direct, script, streams=streams, rounds=rounds, stream=stream))

    async def through(self, script: str, *, streams: int = 1, rounds: int = 1, stream: bool = True) -> Seen:
        return await self._ask(self.load(script, streams=streams, rounds=rounds, stream=stream))

    def load(self, script: str, *, streams: int = 1, rounds: int = 1, stream: bool = True) -> Load:
        return self._load(self._gateway, PREFIX + script, streams=streams, rounds=rounds, stream=stream)

    def used_s(self) -> dict[str, float]:
        return {name: cpu_s(pid) for name, pid in self.pids.items()}

    def held_bytes(self) -> dict[str, int]:
        return {name: rss_bytes(pid) for name, pid in self.pids.items()}

    async def _ask(self, load: Load) -> Seen:
        async with loading(load, cores=self.cores) as process:
            return await result_of(process)

    @staticmethod
    def _load(url: str, model: str, *, streams: int, rounds: int, stream: bool) -> Load:
        parts = urlsplit(url)
        return Load(parts.hostname or "", parts.port or 0, model, streams=streams, rounds=rounds, stream=stream)


async def first_token(bench: Bench, *, streams: int, rounds: int, goals: tuple[str, str]) -> list[Row]:
    direct: list[float] = []
    through: list[float] = []
    for _ in range(ROUNDS):
        direct += (await bench.direct(SHORT, streams=streams, rounds=rounds)).first_s
        through += (await bench.through(SHORT, streams=streams, rounds=rounds)).first_s
    rows: list[Row] = []
    for percent, goal in zip((50, 99), goals, strict=True):
        over, base = 1000 * percentile(through, percent), 1000 * percentile(direct, percent)
        value = f"+{over - base:.2f} ms ({over:.2f} against {base:.2f})"
        rows.append(Row(f"added time to first token, p{percent}, {streams} at a time", value, goal))
    return rows


async def burst(bench: Bench, *, streams: int, tokens: int) -> list[Row]:
    script = f"sim@tokens:{tokens}"
    await bench.through(script, streams=streams)
    before = bench.used_s()
    seen = await bench.through(script, streams=streams, rounds=ROUNDS)
    what = f"burst, {streams} streams of {tokens} tokens"
    rows = [Row(what, f"{seen.tokens / seen.elapsed_s:,.0f} tokens/s", "≥ 60,000")]
    return rows + _cpu(bench, before, seen.tokens, what="burst", goal_ms=None)


async def paced(bench: Bench, *, streams: int, rate: int, tokens: int) -> list[Row]:
    before = bench.used_s()
    seen = await bench.through(f"sim@rate:{rate}@tokens:{tokens}", streams=streams)
    return _cpu(bench, before, seen.tokens, what=f"{streams} streams at {rate}/s", goal_ms=0.12)


async def many(bench: Bench, *, streams: int, rate: int, tokens: int) -> list[Row]:
    """Tokens that come in time, and what a stream holds while it runs."""
    script = f"sim@rate:{rate}@tokens:{tokens}@stamp"
    await bench.through(script.replace(str(tokens), "5"), streams=streams)  # what stays with a process is there now
    idle, before, peak = bench.held_bytes(), bench.used_s(), bench.held_bytes()
    async with loading(bench.load(script, streams=streams), cores=bench.cores) as process, asyncio.TaskGroup() as group:
        result = group.create_task(result_of(process))
        while not result.done():
            await asyncio.sleep(SAMPLE_S)
            peak = {name: max(peak[name], held) for name, held in bench.held_bytes().items()}
        seen = result.result()
    what = f"{streams} streams at {rate}/s"
    late = f"{100 * seen.on_time / max(1, seen.stamped):.0f} % of {seen.stamped:,} tokens"
    rows = [Row(f"{what}, at most 50 ms late", late, "≥ 90 %")]
    held = {name: (peak[name] - idle[name]) / streams / 1024 for name in peak}
    rows.append(Row(f"{what}, memory of a stream, all processes", f"{sum(held.values()):.0f} KiB", "≤ 60 KiB"))
    rows += [Row(f"{what}, memory of a stream: {name}", f"{kib:.0f} KiB") for name, kib in held.items()]
    return rows + _cpu(bench, before, seen.tokens, what=what, goal_ms=None)


async def plain(bench: Bench, *, clients: int, rounds: int) -> list[Row]:
    direct = await bench.direct("sim@tokens:1", streams=clients, rounds=rounds, stream=False)
    before = bench.used_s()
    seen = await bench.through("sim@tokens:1", streams=clients, rounds=rounds, stream=False)
    value, base = (f"{len(one.first_s) / one.elapsed_s:,.0f}/s" for one in (seen, direct))
    rows = [Row(f"plain requests, {clients} at a time", f"{value} (direct {base})", "≥ 830/s")]
    return rows + _cpu(bench, before, len(seen.first_s), what="plain request", goal_ms=None, unit="request")


def _cpu(
    bench: Bench, before: Mapping[str, float], count: int, *, what: str, goal_ms: float | None, unit: str = "token"
) -> list[Row]:
    used = {name: 1000 * (now - before[name]) / max(1, count) for name, now in bench.used_s().items()}
    goal = f"≤ {goal_ms} ms" if goal_ms is not None else ""
    rows = [Row(f"CPU, {what}, all processes", f"{sum(used.values()):.4f} ms/{unit}", goal)]
    return rows + [Row(f"CPU, {what}: {name}", f"{ms:.4f} ms/{unit}") for name, ms in used.items()]


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="tokenbus-bench-") as scratch, (Path(scratch) / "log").open("wb") as log:
        running = stack(
            ProviderKeys({}),
            store=Path(scratch) / "nats",
            script="",
            gateway={"TOKENBUS_GATEWAY_PORT": "0", "TOKENBUS_LOG_LEVEL": "WARNING"},
            log=log,
        )
        async with running as started:
            bench = Bench(started)
            rows = await first_token(bench, streams=1, rounds=60, goals=("≤ 3 ms", "≤ 10 ms"))
            rows += await first_token(bench, streams=64, rounds=5, goals=("≤ 6 ms", ""))
            rows += await burst(bench, streams=8, tokens=2000)
            rows += await paced(bench, streams=100, rate=50, tokens=500)
            rows += await many(bench, streams=1000, rate=20, tokens=200)
            rows += await plain(bench, clients=32, rounds=60)
            print(table(f"The gateway on {machine()}, {time.strftime('%Y-%m-%d')}", rows))


if __name__ == "__main__":
    uvloop.run(run())
