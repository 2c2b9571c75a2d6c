"""Run the benchmarks and print the report: `python -m bench`.

nats-server, router, executor and simulator run as processes of their own, with durable streams; this process is the
client. Timings are compared within one run only: the machine is never quiet for long.
"""

import os
import sys
import tempfile
from pathlib import Path

import aiohttp
import uvloop

import tokenbus
from bench.direct import DirectUpstream
from bench.machine import machine
from bench.report import table
from bench.scenarios import burst, first_token, per_token
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.stack import stack


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="tokenbus-bench-") as scratch:
        log_path = Path(scratch) / "services.log"
        with log_path.open("wb") as log:
            async with (
                stack(ProviderKeys({}), store=Path(scratch) / "nats", script="", log=log) as running,
                tokenbus.connect(running.nats_url) as client,
                aiohttp.ClientSession() as session,
            ):
                direct = DirectUpstream(session, base_url=running.simulator_url or "")
                pids = {"nats-server": running.nats_pid} | {one.name: one.process.pid for one in running.services}
                rows = await first_token(client, direct, rounds=500)
                rows += await per_token(client, direct, tokens=300, rate=100)
                rows += await burst(client, pids=pids, streams=8, tokens=2000, rounds=10)
                print(table(f"Tokenbus on {machine()}", rows))


if __name__ == "__main__":
    if os.environ.get("OPENAI_API_KEY"):
        sys.stderr.write("OPENAI_API_KEY is set and ignored: the benchmark always uses the simulator\n")
    uvloop.run(run())
