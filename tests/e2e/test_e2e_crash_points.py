"""Every point in the life of a request at which a service may fall, and what its reader then gets.

A service falls in one of three ways: it dies (SIGKILL), it stands still until all is over and then goes on (SIGSTOP,
SIGCONT), or it is told to end and has the time for it (SIGTERM). Another one runs beside it.

    recovery restart   the answer is whole, whoever fell how
    recovery fail      the same before the first event and after the end, and where a checkpoint holds what tools did;
                       between these the answer fails and keeps what came. Who is told to end brings it to its end.

In each case there is one end, and a tool takes effect at most once. Where tool hosts, NATS or clients fall, see
docs/guarantees.md.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

import tokenbus
from tests.chaos import FULL_LENGTH
from tests.conftest import StartNatsServer
from tests.e2e.counting_tools import MODULE, effects
from tests.e2e.processes import Processes, processes
from tests.e2e.tripwire import Place, Tripwire, wire
from tests.e2e.witness import witness
from tokenbus_schemas import Response
from tokenbus_schemas.requests import Recovery
from tokenbus_simulator.tokens import filler

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

TOKENS = 20
MODEL = f"openai/sim@rate:40@tokens:{TOKENS}@call:count_once"
"""It speaks, calls the tool, and speaks again."""
SAID = "".join(filler(TOKENS))
ACK_WAIT_S = "2"
REPOSITORY = Path(__file__).parents[2]


class Row(NamedTuple):
    """A point: who is about to fall where, and what `recovery: fail` promises for a fall without notice."""

    point: str
    service: Literal["router", "executor"]
    place: Place
    failing: Literal["whole", "kept"]


EVENTS = r"PUB tokenbus\.events\."
TELLING = EVENTS + r"[^\r]*\r\n[^\r]*"
"""Inside one message: what is written together goes over the wire together."""
CHECKPOINT = r"PUB \$KV\.tokenbus_checkpoints\."
RESULT = r"PUB tokenbus\.results\."
WORK = r"PUB tokenbus\.work\."
ROWS = [
    Row("a router gets the request", "router", Place(r"HMSG tokenbus\.requests\.", "received"), "whole"),
    Row("the work is about to be stored", "router", Place(WORK, "sent"), "whole"),
    Row("the work is stored", "router", Place(WORK, "answered"), "whole"),
    Row("the request is acknowledged", "router", Place(r"PUB \$JS\.ACK\.TOKENBUS_REQUESTS\.", "sent"), "whole"),
    Row("an executor gets the work", "executor", Place(r"HMSG tokenbus\.work\.", "received"), "whole"),
    Row("the first event", "executor", Place(EVENTS, "sent"), "whole"),
    Row("streaming", "executor", Place(r'"type":"response.output_text.delta"', "sent", times=6), "kept"),
    Row("a round is about to be checkpointed", "executor", Place(CHECKPOINT, "sent"), "kept"),
    Row("a round is checkpointed", "executor", Place(CHECKPOINT, "answered"), "whole"),
    Row("the tool is called", "executor", Place(r"PUB tokenbus\.tools\.shared\.count_once ", "sent"), "whole"),
    Row("the tool runs", "executor", Place(r"PUB tokenbus\.tools\.shared\.count_once ", "answered"), "whole"),
    Row("the tool's output", "executor", Place(TELLING + '"type":"function_call_output"', "sent"), "whole"),
    Row("the end is about to be stored", "executor", Place(RESULT, "sent"), "kept"),
    Row("the end is stored", "executor", Place(RESULT, "answered"), "whole"),
    Row("the end is told", "executor", Place(TELLING + '"type":"response.completed"', "sent"), "whole"),
    Row("the work is acknowledged", "executor", Place(r"PUB \$JS\.ACK\.TOKENBUS_WORK\.[^\n]*\n\+ACK", "sent"), "whole"),
]
FALLS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
RECOVERIES: tuple[Recovery, ...] = ("fail", "restart")
MATRIX = list(itertools.product(ROWS, FALLS, RECOVERIES))
SAMPLE = [
    (row, FALLS[number % len(FALLS)], RECOVERIES[number // len(FALLS) % len(RECOVERIES)])
    for number, row in enumerate(ROWS[::2])
]


@pytest.fixture
async def system(start_nats_server: StartNatsServer, tmp_path: Path) -> AsyncGenerator[Processes]:
    async with processes(tmp_path, nats_url=start_nats_server().url, script="ttft=50") as running:
        yield running


@pytest.mark.parametrize(
    ("row", "fall", "recovery"),
    MATRIX if FULL_LENGTH else SAMPLE,
    ids=lambda value: value.point if isinstance(value, Row) else str(getattr(value, "name", value)),
)
async def test_a_service_that_falls_leaves_one_end_as_promised(
    system: Processes, tmp_path: Path, row: Row, fall: signal.Signals, recovery: Recovery
) -> None:
    counter = tmp_path / "effects"
    tripwire = Tripwire(row.place, number=fall)
    request_id = os.urandom(8).hex()
    async with AsyncExitStack() as exits:
        wires = [await exits.enter_async_context(wire(tripwire, nats_url=system.nats_url)) for _ in range(2)]
        start = {"router": system.router, "executor": system.executor}
        beside = "executor" if row.service == "router" else "router"
        async with asyncio.TaskGroup() as group:
            group.create_task(start[beside](TOKENBUS_ACK_WAIT_S=ACK_WAIT_S))
            group.create_task(
                system.tools(TOKENBUS_TOOLS_MODULES=MODULE, PYTHONPATH=str(REPOSITORY), EFFECTS=str(counter))
            )
            falling = [
                group.create_task(start[row.service](TOKENBUS_ACK_WAIT_S=ACK_WAIT_S, TOKENBUS_NATS_URL=one.url))
                for one in wires
            ]
        for one, task in zip(wires, falling, strict=True):
            one.watch(task.result())
        client = await exits.enter_async_context(tokenbus.connect(system.nats_url))
        watching = await exits.enter_async_context(witness(system.nats_url))

        shown, failure = "", None
        async with asyncio.timeout(60):
            stream = client.stream(
                model=MODEL,
                input="Tell me.",
                tools=[{"type": "function", "name": "count_once"}],
                request_id=request_id,
                recovery=recovery,
            )
            async with stream:
                try:
                    async for piece in stream.text:
                        shown += piece
                except tokenbus.ResponseFailedError as error:
                    failure = error.code
            fallen = await tripwire.fell()
        if fall == signal.SIGSTOP:  # it wakes up, with all that it was about to say, and wins nothing
            fallen.thaw()
            tripwire.thaw()
            fallen.end()
        assert await fallen.ended() == (-signal.SIGKILL if fall == signal.SIGKILL else 0)
        end = await watching.check_one_end(request_id)

    whole = row.failing == "whole" or recovery == "restart" or fall == signal.SIGTERM
    response = Response.model_validate(end.data["response"])
    assert shown == response.output_text
    ran = effects(counter)
    if whole:
        assert (end.type, failure) == ("response.completed", None)
        assert shown == SAID * 2
        assert ran == {f"default.{request_id}.0.0": 1}
    else:
        assert (end.type, failure) == ("response.failed", "executor_lost")
        assert (SAID * 2).startswith(shown)
        assert shown
        assert ran in ({}, {f"default.{request_id}.0.0": 1})
