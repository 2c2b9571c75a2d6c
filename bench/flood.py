"""A process that keeps many low requests in the queues: `python -m bench.flood <nats url> <how many>`.

It writes a line when the first of them is answered, and goes on until it is ended.
"""

import asyncio
import sys
from typing import Final

import uvloop

import tokenbus
from bench.scenarios import PREFIX
from tokenbus import Client

MODEL: Final = f"{PREFIX}sim@tokens:100@rate:20"
"""An answer of five seconds."""


async def _one_after_another(client: Client, *, answered: asyncio.Event) -> None:
    while True:
        async with client.stream(model=MODEL, input="x", priority_class="low", timeout_s=3600) as stream:
            while await stream.batch():
                answered.set()


async def run(nats_url: str, *, requests: int) -> None:
    answered = asyncio.Event()
    async with tokenbus.connect(nats_url) as client, asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(_one_after_another(client, answered=answered))
        await answered.wait()
        sys.stdout.write("flooding\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], requests=int(sys.argv[2])))
