"""A router that is killed between any two steps: what it had in hand has one end all the same, and is run once.

The facts are what everybody can see on the bus; the kill follows within a fraction of a millisecond.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.router.conftest import CHANNEL, TENANT, Desk, gone, open_desk
from tokenbus.bus import Bus, Message
from tokenbus.errors import BusError
from tokenbus_chassis.terminal import Ended, parse_end
from tokenbus_schemas.headers import TIMEOUT
from tokenbus_simulator import Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

GOOD = {"model": "lab/sim", "input": "hi"}
REQUEST = "r1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the processes run."""

    nats_url: str
    root: str
    catalog: Path

    @asynccontextmanager
    async def process(self, module: str) -> AsyncGenerator[Process]:
        """A service, ready or not; killed on leaving."""
        settings = {"NATS_URL": self.nats_url, "ROOT": self.root, "CATALOG": str(self.catalog), "ACK_WAIT_S": "2"}
        environment = {f"TOKENBUS_{name}": value for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            env={"PATH": os.environ.get("PATH", ""), "LAB_KEY": "sk-test-0123456789", **environment},
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def router(self, bus: Bus) -> AsyncGenerator[Process]:
        """A router that answers."""
        async with self.process("tokenbus_router") as process:
            async with asyncio.timeout(30):
                while not await answers(bus, f"{self.root}.models.{TENANT}"):
                    assert process.returncode is None
            yield process


async def answers(bus: Bus, subject: str) -> bool:
    try:
        await bus.request(subject, b"", timeout_s=0.5)
    except BusError:
        return False
    return True


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with Simulator(seed="crashes") as running:
        yield running


@pytest.fixture
def place(nats_url: str, root: str, simulator: Simulator, tmp_path: Path) -> Place:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f"providers:\n  lab: {{base_url: '{simulator.base_url}', api_key_env: LAB_KEY, apis: [responses]}}\n"
        "models:\n  lab/sim: {targets: [lab]}\n"
    )
    return Place(nats_url, root, catalog)


@asynccontextmanager
async def killed_at(fact: str, router: Process, *, bus: Bus, root: str) -> AsyncGenerator[None]:
    """Kills the router when something is published on the subject `fact`; leaves when it is dead."""

    def kill(message: Message) -> None:
        del message
        if router.returncode is None:
            router.kill()

    subscription = await bus.subscribe(fact.format(root=root, ROOT=root.upper()), kill)
    await bus.flush()
    yield
    async with asyncio.timeout(20):
        await router.wait()
    await subscription.unsubscribe()


async def ends_once(desk: Desk) -> str:
    """The type of the one end that everybody sees, when nothing is queued any more."""
    await eventually(lambda: any(line.is_terminal for line in desk.live[REQUEST]), timeout_s=30)
    await gone(desk.waiting_request)
    page = await desk.bus.read_stored(desk.stored.work.name, f"{desk.subjects.root}.work.>")
    while page.messages:
        page = await desk.bus.read_stored(desk.stored.work.name, f"{desk.subjects.root}.work.>")
    await desk.bus.flush()
    stored = await desk.result(REQUEST)
    assert stored is not None
    end = parse_end(stored)
    assert isinstance(end, Ended)
    assert {line.raw for line in desk.live[REQUEST] if line.is_terminal} == {end.line}
    return desk.live[REQUEST][-1].type


ADMISSION = {
    "the request was stored": "{root}.requests.>",
    "its work was sent": "{root}.work.>",
    "its note was sent": "{root}.queued.>",
    "it was acknowledged": "$JS.ACK.{ROOT}_REQUESTS.>",
}


@pytest.mark.parametrize("fact", ADMISSION.values(), ids=ADMISSION.keys())
async def test_a_request_whose_router_is_killed_at_admission_is_answered_once(
    bus: Bus, place: Place, simulator: Simulator, fact: str
) -> None:
    async with place.router(bus) as first, place.process("tokenbus_executor"):
        desk = await open_desk(bus, place.root)
        async with killed_at(fact, first, bus=bus, root=place.root):
            await desk.send(GOOD, REQUEST)
        async with place.router(bus):
            assert await ends_once(desk) == "response.completed"
    assert len(list(simulator.record)) == 1


@pytest.mark.parametrize("fact", ADMISSION.values(), ids=ADMISSION.keys())
async def test_a_request_whose_router_is_killed_at_admission_ends_at_its_deadline_without_an_executor(
    bus: Bus, place: Place, fact: str
) -> None:
    async with place.router(bus) as first:
        desk = await open_desk(bus, place.root)
        async with killed_at(fact, first, bus=bus, root=place.root):
            await desk.send(GOOD, REQUEST, headers={TIMEOUT: "4"})
        async with place.router(bus):
            await eventually(lambda: any(line.is_terminal for line in desk.live[REQUEST]), timeout_s=30)
            # Work that nobody has noted leaves with an executor, or with its time.
            async with place.process("tokenbus_executor"):
                assert await ends_once(desk) == "response.failed"
    assert desk.live[REQUEST][-1].data["response"]["error"]["type"] == "deadline_exceeded"


REFUSAL = {"its end was sent to be stored": "{root}.results.>", "its end was published": "{root}.events.>"}


@pytest.mark.parametrize("fact", REFUSAL.values(), ids=REFUSAL.keys())
async def test_a_refused_request_whose_router_is_killed_ends_once(bus: Bus, place: Place, fact: str) -> None:
    async with place.router(bus) as first:
        desk = await open_desk(bus, place.root)
        async with killed_at(fact, first, bus=bus, root=place.root):
            await desk.send(b"junk", REQUEST)
        async with place.router(bus):
            assert await ends_once(desk) == "response.failed"


CANCEL = {
    "the mark was sent": "$KV.{root}_cancelled.>",
    "executors were told": "{root}.stop.>",
    "the end was sent to be stored": "{root}.results.>",
    "the end was published": "{root}.events.{tenant}.{channel}.>",
    "its work was looked up": "$JS.API.DIRECT.GET.{ROOT}_WORK",
}


@pytest.mark.parametrize("fact", CANCEL.values(), ids=CANCEL.keys())
async def test_a_queued_request_whose_router_is_killed_as_it_cancels_ends_once(
    bus: Bus, place: Place, fact: str
) -> None:
    async with place.router(bus) as first:
        desk = await open_desk(bus, place.root)
        await desk.send(GOOD, REQUEST, headers={TIMEOUT: "60"})
        await gone(desk.waiting_request)
        fact = fact.replace("{tenant}", TENANT).replace("{channel}", CHANNEL)
        async with killed_at(fact, first, bus=bus, root=place.root):
            await bus.publish(f"{place.root}.control.{TENANT}.{REQUEST}", b'{"action":"cancel"}', reply="nowhere")
        async with place.router(bus):
            assert (await desk.cancel(REQUEST))["status"] in ("cancelled", "ended")
            # Work whose end is stored leaves with its executor, or with its time.
            async with place.process("tokenbus_executor"):
                assert await ends_once(desk) == "response.incomplete"
    assert desk.live[REQUEST][-1].data["response"]["status"] == "cancelled"


EXPIRY = {
    "executors were asked": "{root}.stop.>",
    "the end was sent to be stored": "{root}.results.>",
    "the end was published": "{root}.events.>",
    "it was acknowledged": "$JS.ACK.{ROOT}_RESULTS.>",
}


@pytest.mark.parametrize("fact", EXPIRY.values(), ids=EXPIRY.keys())
async def test_a_request_whose_router_is_killed_at_its_deadline_ends_once(bus: Bus, place: Place, fact: str) -> None:
    async with place.router(bus) as first:
        desk = await open_desk(bus, place.root)
        async with killed_at(fact, first, bus=bus, root=place.root):
            await desk.send(GOOD, REQUEST, headers={TIMEOUT: "1"})
        async with place.router(bus), place.process("tokenbus_executor"):
            assert await ends_once(desk) == "response.failed"
