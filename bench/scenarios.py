"""What is measured: first token, per token, burst. Direct and bus take turns within one run."""

import asyncio
import os
import time
from collections.abc import Mapping

from bench.direct import DirectUpstream
from bench.machine import cpu_s
from bench.report import Row, percentile
from tokenbus import Client
from tokenbus_schemas import PriorityClass

PREFIX = "openai/"
SHORT = "sim@tokens:8"
_WARM_S = 3.0
"""For two seconds after they connect, services look twice at what comes: it may be from before."""


async def bus_first_token_s(client: Client, model: str, *, priority_class: PriorityClass = "standard") -> float:
    """Seconds from the request to the first text delta; the answer is read to its end."""
    started = time.perf_counter()
    first: float | None = None
    async with client.stream(model=PREFIX + model, input="x", priority_class=priority_class) as stream:
        while batch := await stream.batch():
            if first is None and any(line.type == "response.output_text.delta" for line in batch):
                first = time.perf_counter() - started
    if first is None:
        raise RuntimeError(f"{model} sent no text")
    return first


async def first_token(client: Client, direct: DirectUpstream, *, rounds: int) -> list[Row]:
    """Added time to first token at concurrency 1, direct and bus in turn."""
    warm_at = time.monotonic() + _WARM_S
    while time.monotonic() < warm_at:
        await direct.first_token_s(SHORT)
        await bus_first_token_s(client, SHORT)
    direct_s: list[float] = []
    bus_s: list[float] = []
    for _ in range(rounds):
        direct_s.append(await direct.first_token_s(SHORT))
        bus_s.append(await bus_first_token_s(client, SHORT))

    def figure(percent: float) -> str:
        over, base = percentile(bus_s, percent), percentile(direct_s, percent)
        return f"+{1000 * (over - base):.2f} ms ({1000 * over:.2f} against {1000 * base:.2f})"

    return [
        Row("added time to first token, p50, one at a time", figure(50), "≤ 2.0 ms"),
        Row("added time to first token, p99, one at a time", figure(99), "≤ 6 ms"),
    ]


async def per_token(client: Client, direct: DirectUpstream, *, tokens: int, rate: int) -> list[Row]:
    """Added latency of a token on a paced stream: each token's text is the time at which the simulator sent it."""
    model = f"sim@rate:{rate}@tokens:{tokens}@stamp"
    direct_ms: list[float] = []
    bus_ms: list[float] = []
    for _ in range(3):
        direct_ms += [_late_ms(now, text) async for now, text in direct.deltas(model)]
        async with client.stream(model=PREFIX + model, input="x") as stream:
            while batch := await stream.batch():
                now = time.monotonic_ns()
                bus_ms += [
                    _late_ms(now, str(line.data["delta"]))
                    for line in batch
                    if line.type == "response.output_text.delta"
                ]
    over, base = percentile(bus_ms, 50), percentile(direct_ms, 50)
    over99, base99 = percentile(bus_ms, 99), percentile(direct_ms, 99)
    return [
        Row(f"added latency per token, p50, {rate} tokens/s", f"+{over - base:.2f} ms", "≤ 0.5 ms"),
        Row(f"added latency per token, p99, {rate} tokens/s", f"+{over99 - base99:.2f} ms"),
    ]


def _late_ms(now_ns: int, text: str) -> float:
    return (now_ns - int(text.split()[0])) / 1e6


async def burst(client: Client, *, pids: Mapping[str, int], streams: int, tokens: int, rounds: int) -> list[Row]:
    """Tokens a second over the whole machine, everything streaming as fast as it can, and what each process costs."""
    model = f"{PREFIX}sim@tokens:{tokens}"
    pids = {**pids, "client (this process)": os.getpid()}

    async def one() -> None:
        count = 0
        async with client.stream(model=model, input="x") as stream:
            while batch := await stream.batch():
                count += sum(line.type == "response.output_text.delta" for line in batch)
        if count != tokens:
            raise RuntimeError(f"{count} of {tokens} tokens came")

    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(one())

    await all_at_once()
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    started = time.perf_counter()
    for _ in range(rounds):
        await all_at_once()
    elapsed_s = time.perf_counter() - started
    total = streams * tokens * rounds
    rows = [Row(f"burst, {streams} streams of {tokens} tokens", f"{total / elapsed_s:,.0f} tokens/s", "≥ 80,000")]
    for name, pid in pids.items():
        cost = (cpu_s(pid) - before[name]) / total * 1e6
        rows.append(Row(f"CPU in the burst: {name}", f"{cost:.2f} µs/token", "≤ 10" if "executor" in name else ""))
    return rows
