"""Clients that send, watch and cancel, and services that are killed, frozen and replaced, in any order: what holds.

one end         every accepted request has one terminal event, stored and published
whole text      who reads the text of an answer reads what the model said, once
in order        watchers, from anywhere in an answer, get rising sequence numbers and that same end
cancels hold    who was cancelled has ended so, or had been completed before; nobody else was
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tokenbus
from tests.chaos import often
from tests.conftest import NatsServer
from tests.e2e.processes import Processes, Service, processes
from tests.e2e.witness import Witness, witness
from tokenbus import Client
from tokenbus.errors import BusError
from tokenbus_schemas import EventLine
from tokenbus_simulator.tokens import filler

RATE: Final = 30
LASTING: Final = {"TOKENBUS_MAX_DELIVERIES": "99", "TOKENBUS_ACK_WAIT_S": "2"}


class Step(NamedTuple):
    """One thing that happens. `number` says which request or service it happens to, or how much of it there is."""

    kind: Literal["send", "watch", "cancel", "kill executor", "freeze executor", "kill router", "wait"]
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ("send", "send", "send", "watch", "cancel", "kill executor", "freeze executor", "kill router", "wait")
        ),
        st.integers(0, 9),
    ),
    min_size=8,
    max_size=often(12, chaos=30),
)


@dataclass(eq=False)
class Asked:
    """One request, by who sent it."""

    request_id: str
    tokens: int
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    shown: str = ""
    watched: list[list[EventLine]] = field(default_factory=list[list[EventLine]])


class Scenario:
    """Takes steps, one after the other; what clients do goes on beside them."""

    def __init__(self, system: Processes, *, client: Client, group: asyncio.TaskGroup) -> None:
        self._system = system
        self._client = client
        self._group = group
        self._executors: list[Service] = []
        self._routers: list[Service] = []
        self._frozen: set[Service] = set()
        self.asked: list[Asked] = []

    async def start(self) -> None:
        self._routers += [await self._system.router(**LASTING) for _ in range(2)]
        self._executors += [await self._system.executor(**LASTING) for _ in range(2)]
        self._send(3)

    async def take(self, step: Step) -> None:
        asked = self.asked[step.number % len(self.asked)]
        executor = self._executors[step.number % len(self._executors)]
        match step.kind:
            case "send":
                self._send(step.number)
            case "watch":
                self._group.create_task(self._watch(asked, after=step.number * 10 - 1))
            case "cancel":
                self._group.create_task(self._cancel(asked))
            case "kill executor":
                executor.kill()
                self._frozen.discard(executor)
                self._executors.remove(executor)
                self._executors.append(await self._system.executor(**LASTING))
            case "freeze executor":
                if executor in self._frozen:
                    self._thaw(executor)
                else:
                    executor.freeze()
                    self._frozen.add(executor)
            case "kill router":
                router = self._routers.pop(step.number % len(self._routers))
                router.kill()
                self._routers.append(await self._system.router(**LASTING))
            case "wait":
                await asyncio.sleep(step.number / 10)  # a part of the scenario

    def calm_down(self) -> None:
        for executor in list(self._frozen):
            self._thaw(executor)

    def _thaw(self, executor: Service) -> None:
        executor.thaw()
        self._frozen.discard(executor)

    def _send(self, number: int) -> None:
        asked = Asked(os.urandom(8).hex(), tokens=10 * (number + 1))
        self.asked.append(asked)
        self._group.create_task(self._read(asked))

    async def _read(self, asked: Asked) -> None:
        model = f"openai/sim@rate:{RATE}@tokens:{asked.tokens}"
        async with self._client.stream(model=model, input="Tell me.", request_id=asked.request_id) as stream:
            asked.accepted.set()
            try:
                async for piece in stream.text:
                    asked.shown += piece
            except tokenbus.TextLostError:
                assert asked.cancelled  # while the answer was said anew, so that it ends before what was shown

    async def _watch(self, asked: Asked, *, after: int) -> None:
        await asked.accepted.wait()
        async with self._client.attach(asked.request_id, after=after) as stream:
            asked.watched.append([line async for line in stream])

    async def _cancel(self, asked: Asked) -> None:
        await asked.accepted.wait()
        asked.cancelled = True
        while True:
            try:
                await self._client.cancel(asked.request_id)
            except BusError:  # of a router that has just died; to ask again is safe
                continue
            return


async def check(asked: Asked, watching: Witness) -> None:
    """The invariants, when all is over."""
    end = await watching.check_one_end(asked.request_id)
    status = end.data["response"]["status"]
    whole = "".join(filler(asked.tokens))
    if asked.cancelled:
        assert status in ("cancelled", "completed")
        assert whole.startswith(asked.shown)
    else:
        assert status == "completed"
        assert asked.shown == whole
    for lines in asked.watched:
        assert all(one.sequence_number < next_one.sequence_number for one, next_one in pairwise(lines[:-1]))
        assert lines[-1].raw == end.raw


async def run(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="tokenbus-scenario-") as scratch:
        folder = Path(scratch)
        server = NatsServer(folder / "nats")
        try:
            async with (
                processes(folder, nats_url=server.url, script="ttft=100") as system,
                tokenbus.connect(server.url) as client,
                witness(server.url) as watching,
            ):
                async with asyncio.timeout(240), asyncio.TaskGroup() as group:
                    scenario = Scenario(system, client=client, group=group)
                    await scenario.start()
                    for step in steps:
                        await scenario.take(step)
                    scenario.calm_down()
                for asked in scenario.asked:
                    await check(asked, watching)
        finally:
            server.kill()


@pytest.mark.chaos
@pytest.mark.timeout(often(300, chaos=1800))
@settings(
    max_examples=often(2, chaos=60),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_clients_do_and_services_suffer_each_request_has_one_end_and_its_text_is_whole(
    steps: list[Step],
) -> None:
    """Not shrunk: an example takes many seconds."""
    asyncio.run(run(steps))
