"""Clients that die, or stand still, once their request is accepted: it ends all the same, for whoever reads it."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import tokenbus
from tests.client.command_line import TOKENBUS
from tests.conftest import StartNatsServer
from tests.e2e.processes import Processes, Service, processes
from tests.e2e.tripwire import Place, Tripwire, wire
from tests.e2e.witness import witness
from tokenbus_simulator.tokens import filler

pytestmark = pytest.mark.timeout(120)

TOKENS = 40
MODEL = f"openai/sim@rate:20@tokens:{TOKENS}"
SAID = "".join(filler(TOKENS))
PLACES = {
    "the request is stored": Place(r"HPUB tokenbus\.requests\.", "answered"),
    "a token comes": Place(r'"type":"response.output_text.delta"', "received", times=5),
}


@pytest.fixture
async def system(start_nats_server: StartNatsServer, tmp_path: Path) -> AsyncGenerator[Processes]:
    async with processes(tmp_path, nats_url=start_nats_server().url, script="ttft=50") as running:
        await running.router()
        await running.executor()
        yield running


@asynccontextmanager
async def chatting(system: Processes, tripwire: Tripwire, *, request_id: str) -> AsyncGenerator[Service]:
    """The command line's client, as a process; what it prints is its log."""
    with tempfile.NamedTemporaryFile(dir=system.folder) as log:
        async with wire(tripwire, nats_url=system.nats_url) as one:
            process = await asyncio.create_subprocess_exec(
                *(TOKENBUS, "chat", "--server", one.url, "-m", MODEL, "--request-id", request_id, "Tell me."),
                stdout=log,
                stderr=log,
            )
            client = Service("client", process, log=Path(log.name))
            one.watch(client)
            try:
                yield client
            finally:
                if process.returncode is None:
                    client.thaw()
                    client.kill()
                await process.wait()


@pytest.mark.parametrize("place", PLACES)
async def test_a_request_outlives_its_client(system: Processes, place: str) -> None:
    tripwire = Tripwire(PLACES[place], number=signal.SIGKILL)
    request_id = os.urandom(8).hex()
    async with (
        witness(system.nats_url) as watching,
        tokenbus.connect(system.nats_url) as elsewhere,
        chatting(system, tripwire, request_id=request_id) as dying,
        asyncio.timeout(60),
    ):
        assert await tripwire.fell() is dying
        async with elsewhere.attach(request_id) as stream:
            assert "".join([piece async for piece in stream.text]) == SAID
        assert (await watching.check_one_end(request_id)).type == "response.completed"


@pytest.mark.parametrize("place", PLACES)
async def test_a_client_that_stood_still_reads_on_where_it_was(system: Processes, place: str) -> None:
    tripwire = Tripwire(PLACES[place], number=signal.SIGSTOP)
    request_id = os.urandom(8).hex()
    async with (
        tokenbus.connect(system.nats_url) as elsewhere,
        chatting(system, tripwire, request_id=request_id) as still,
        asyncio.timeout(60),
    ):
        assert await tripwire.fell() is still
        async with elsewhere.attach(request_id) as stream:
            await stream.response()
        still.thaw()
        assert await still.ended() == 0
        assert still.log.read_text().strip() == SAID
