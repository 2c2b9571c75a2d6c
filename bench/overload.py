"""What a flood of low requests does to a priority request's first token: `python -m bench.overload`.

nats-server, router, executor, simulator and the sender of the flood run as processes of their own. The flood keeps
1,000 low requests of five seconds each in the queues, more than ten times the slots that low may fill. Idle and flooded
are measured in one run; on a busy machine only their ratio means something. Against a provider that answers at once all
there is to see is how the processes share the processor: that has no goal.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvloop

import tokenbus
from bench.machine import machine
from bench.report import Row, percentile, table
from bench.scenarios import bus_first_token_s
from tokenbus import Client
from tokenbus.bus import Bus
from tokenbus_chassis.topology import topology
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.nats_server import stop_process
from tokenbus_local.stack import stack
from tokenbus_schemas import Pool

FLOOD: Final = 1_000
ROUNDS: Final = 150
POOL: Final = Pool("openai")
MODELS: Final = {
    "a provider that takes 200 ms": ("sim@ttft:200@tokens:8", "≤ 1.5x"),
    "a provider that answers at once": ("sim@tokens:8", ""),
}


async def first_tokens_s(client: Client, model: str) -> list[float]:
    """Of priority requests, one after another."""
    for _ in range(10):
        await bus_first_token_s(client, model, priority_class="priority")
    return [await bus_first_token_s(client, model, priority_class="priority") for _ in range(ROUNDS)]


@asynccontextmanager
async def flood(nats_url: str) -> AsyncGenerator[None]:
    """Low requests fill everything that they may, while inside."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.flood", nats_url, str(FLOOD), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise RuntimeError(f"the flood ended with exit code {await process.wait()}")
        yield
    finally:
        await stop_process(process, grace_s=5.0)


async def low_queue(bus: Bus) -> str:
    """What the flood looks like at the executor's queue."""
    consumer = topology(pools=[POOL]).work_consumer(POOL, "low")
    state = await bus.consumer_state(consumer.stream, consumer.name)
    return f"{state.ack_pending} answered, {state.waiting} queued"


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="tokenbus-bench-") as scratch:
        log_path = Path(scratch) / "services.log"
        with log_path.open("wb") as log:
            async with (
                stack(ProviderKeys({}), store=Path(scratch) / "nats", script="", log=log) as running,
                tokenbus.connect(running.nats_url) as client,
                Bus.connect(running.nats_url, name="bench") as bus,
            ):
                idle = {name: await first_tokens_s(client, model) for name, (model, _) in MODELS.items()}
                async with flood(running.nats_url):
                    rows = [Row("low requests under way when it begins", await low_queue(bus))]
                    flooded = {name: await first_tokens_s(client, model) for name, (model, _) in MODELS.items()}
                    rows.append(Row("low requests under way when it ends", await low_queue(bus)))
                for name, (_, goal) in MODELS.items():
                    for percent in (50, 99):
                        before, under = (percentile(times, percent) for times in (idle[name], flooded[name]))
                        value = f"{under / before:.2f}x ({1000 * before:.1f} ms idle, {1000 * under:.1f} ms flooded)"
                        rows.append(Row(f"priority's first token, p{percent}, {name}", value, goal))
                sys.stdout.write(table(f"Overload on {machine()}", rows) + "\n")


if __name__ == "__main__":
    uvloop.run(run())
