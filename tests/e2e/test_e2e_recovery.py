"""Executors as processes that are killed, stopped or told to go in the middle of answers: what clients then read."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

import tokenbus
from tests.chaos import often
from tests.valid_stream import Json, check_stream
from tokenbus import Client, ResponseFailedError
from tokenbus_schemas import EventLine
from tokenbus_schemas.requests import Recovery
from tokenbus_schemas.vocabulary import RESUMED, REWOUND
from tokenbus_simulator import Simulator

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX"),
]

ACK_WAIT_S = 2.0
MODEL = "openai/sim@tokens:60@rate:60"
STREAMS = often(20, chaos=200)
ENDINGS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
"""A process that gets SIGTERM has no time to finish: `drain_timeout_s` is short."""


@asynccontextmanager
async def process(module: str, settings: dict[str, str]) -> AsyncGenerator[Process]:
    """A service that is ready; killed on leaving if it still runs."""
    environment = {"PATH": os.environ.get("PATH", ""), **settings}
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=environment, stderr=PIPE)
    assert started.stderr is not None
    try:
        async with asyncio.timeout(60):
            while '"message": "ready"' not in (await started.stderr.readline()).decode():
                assert started.returncode is None
        async with asyncio.TaskGroup() as group:
            log = group.create_task(started.stderr.read())
            yield started
            if started.returncode is None:
                started.kill()
            await log
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with Simulator(seed="recovery") as running:
        yield running


@pytest.fixture
def settings(nats_url: str, root: str, simulator: Simulator) -> dict[str, str]:
    return {
        "TOKENBUS_NATS_URL": nats_url,
        "TOKENBUS_ROOT": root,
        "TOKENBUS_ACK_WAIT_S": str(ACK_WAIT_S),
        "TOKENBUS_DRAIN_TIMEOUT_S": "0.3",
        "OPENAI_BASE_URL": simulator.base_url,
        "OPENAI_API_KEY": "sk-recovery",
    }


@pytest.fixture
async def client(nats_url: str, root: str, settings: dict[str, str]) -> AsyncGenerator[Client]:
    """With a router behind it, and no executor yet."""
    async with process("tokenbus_router", settings), tokenbus.connect(nats_url, root=root) as connected:
        yield connected


@asynccontextmanager
async def interrupted(
    client: Client, settings: dict[str, str], *, recovery: Recovery | None, end: str, pieces: int
) -> AsyncGenerator[tokenbus.ResponseStream]:
    """A stream whose executor ends so after some events; another one takes over. A stopped one comes back at last."""
    async with (
        process("tokenbus_executor", settings) as first,
        client.stream(model=MODEL, input="Tell me.", recovery=recovery, request_id=os.urandom(8).hex()) as stream,
    ):
        async with client.attach(stream.request_id) as watching:
            seen = 0
            async for event in watching:
                seen += event.type == "response.output_text.delta"
                if seen == pieces:
                    break
        first.send_signal(ENDINGS[end])
        async with process("tokenbus_executor", settings):
            yield stream
            if end == "stop":
                first.send_signal(signal.SIGCONT)


def text_of(events: list[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def kinds(events: list[Json]) -> set[str]:
    return {event["type"] for event in events}


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("pieces", [1, 20])
async def test_text_is_shown_once_though_its_executor_is_gone(
    client: Client, settings: dict[str, str], end: str, pieces: int
) -> None:
    async with interrupted(client, settings, recovery=None, end=end, pieces=pieces) as stream:
        shown = "".join([piece async for piece in stream.text])
        response = await stream.response()
    assert shown == response.output_text
    assert response.tokenbus["attempt"] == 2
    assert response.status == "completed"


@pytest.mark.parametrize("end", ENDINGS)
async def test_events_show_the_rewind(client: Client, settings: dict[str, str], end: str) -> None:
    async with interrupted(client, settings, recovery="restart", end=end, pieces=5) as stream:
        lines: list[EventLine] = [line async for line in stream]
    events = check_stream(lines)
    assert REWOUND in kinds(events)
    assert events[-1]["type"] == "response.completed"


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("pieces", [1, 20])
async def test_an_answer_that_is_kept_goes_on_exactly(
    client: Client, settings: dict[str, str], simulator: Simulator, end: str, pieces: int
) -> None:
    async with interrupted(client, settings, recovery="resume", end=end, pieces=pieces) as stream:
        events = check_stream([line async for line in stream])
    assert RESUMED in kinds(events)
    assert REWOUND not in kinds(events)
    assert text_of(events) == events[-1]["response"]["output"][0]["content"][0]["text"]
    assert [exchange.method for exchange in simulator.record] == ["POST", "GET"]


@pytest.mark.parametrize("end", ["kill", "term"])
async def test_an_answer_that_may_only_fail_keeps_what_came(client: Client, settings: dict[str, str], end: str) -> None:
    async with interrupted(client, settings, recovery="fail", end=end, pieces=5) as stream:
        with pytest.raises(ResponseFailedError) as failed:
            await stream.response()
        async with client.attach(stream.request_id) as again:
            events = check_stream([line async for line in again])
    response = failed.value.response
    assert response.error is not None
    assert response.error.type == "executor_lost"
    assert response.output_text == text_of(events) != ""


@pytest.mark.parametrize("recovery", ["restart", "resume"])
async def test_a_rolling_restart_cuts_no_stream_and_repeats_no_token(
    client: Client, settings: dict[str, str], recovery: Recovery
) -> None:
    """Every executor is replaced while streams run over it."""
    shown: dict[int, str] = {}
    final: dict[int, str] = {}
    reading = asyncio.Event()

    async def read(number: int) -> None:
        async with client.stream(model=MODEL, input=f"Tell {number}.", recovery=recovery) as stream:
            pieces: list[str] = []
            async for piece in stream.text:
                pieces.append(piece)
                reading.set()
            shown[number] = "".join(pieces)
            final[number] = (await stream.response()).output_text

    async with AsyncExitStack() as processes:

        async def start() -> Process:
            return await processes.enter_async_context(process("tokenbus_executor", settings))

        old = [await start() for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            for number in range(STREAMS):
                group.create_task(read(number))
            await reading.wait()
            for one in old:
                await start()
                one.terminate()
                await one.wait()
    assert shown == final
    assert len(shown) == STREAMS
    assert all(len(text.split()) > 10 for text in shown.values())
