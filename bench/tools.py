"""Function tools in an answer: what a round costs beside the model. Run alone: `python -m bench.tools`."""

import tempfile
import time
from pathlib import Path
from typing import Final

import aiohttp
import uvloop

import tokenbus
from bench.direct import DirectUpstream
from bench.machine import machine
from bench.report import Row, percentile, table
from bench.tool_calls import NAME, tool_calls, tools_service
from tokenbus import Client
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.stack import stack

ROUNDS: Final = 10
_NOTHING: Final[dict[str, object]] = {"type": "object", "properties": {}}
_TOOLS: Final[list[dict[str, object]]] = [{"type": "function", "name": NAME, "parameters": _NOTHING}]


async def _answer_s(client: Client, *, rounds: int) -> float:
    """Seconds from the request to the end of an answer with so many rounds of one call each."""
    model = f"openai/sim@call:{NAME}@rounds:{rounds}@tokens:1"
    started = time.perf_counter()
    async with client.stream(model=model, input="x", tools=_TOOLS) as stream:
        response = await stream.response()
    took_s = time.perf_counter() - started
    outputs = sum(item["type"] == "function_call_output" for item in response.output)
    if outputs != rounds:
        raise RuntimeError(f"{outputs} of {rounds} calls were answered")
    return took_s


async def tool_rounds(client: Client, direct: DirectUpstream, *, answers: int) -> list[Row]:
    """A round is an upstream call, a checkpoint, a tool call and its journal; the upstream call is not counted."""
    for _ in range(5):
        await _answer_s(client, rounds=ROUNDS)
        await direct.first_token_s("sim@tokens:1")
    with_tools: list[float] = []
    without: list[float] = []
    upstream: list[float] = []
    for _ in range(answers):
        with_tools.append(await _answer_s(client, rounds=ROUNDS))
        without.append(await _answer_s(client, rounds=0))
        upstream.append(await direct.first_token_s("sim@tokens:1"))

    def figure(percent: float) -> str:
        over = (percentile(with_tools, percent) - percentile(without, percent)) / ROUNDS
        return f"{1000 * (over - percentile(upstream, percent)):.2f} ms"

    return [Row("a round of one empty tool, without its upstream call, p50", figure(50))]


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
                async with tools_service(running.nats_url):
                    rows = await tool_rounds(client, direct, answers=50)
                rows += await tool_calls(running.nats_url)
                print(table(f"Tokenbus tools on {machine()}", rows))


if __name__ == "__main__":
    uvloop.run(run())
