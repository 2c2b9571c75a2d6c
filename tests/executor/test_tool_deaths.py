"""Executors that are killed, or stand still and come back, inside a round of tools: one end, no second effect."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.chaos import often
from tests.executor.attempts import renumbered
from tests.executor.conftest import ACK_WAIT_S, Desk, target
from tests.executor.dying_executor import POINTS
from tests.executor.tool_serving import Serve, asking, outputs, serving
from tests.valid_stream import check_stream
from tokenbus_executor.tool_outputs import OUTPUT_TYPE
from tokenbus_schemas import EventLine
from tokenbus_toolkit import tool

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX"),
]

PROGRAM = Path(__file__).with_name("dying_executor.py")
ROUNDS = range(often(1, chaos=10))
"""In each, one executor falls at every point."""
StartExecutors = Callable[[int, int], Awaitable[list[Process]]]

serve = pytest.fixture(serving)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
async def start(desk: Desk, nats_url: str, marks: Path) -> AsyncGenerator[StartExecutors]:
    """Starts so many processes, which send themselves this signal where they fall; they work when it returns."""
    running: list[Process] = []

    async def one(fall: int) -> None:
        arguments = (nats_url, desk.subjects.root, str(ACK_WAIT_S), str(marks), str(fall))
        environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), *arguments, env=environment, stdout=PIPE
        )
        running.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"READY\n"

    async def some(count: int, fall: int) -> list[Process]:
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(one(fall))
        return running

    yield some
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Effects:
    """A tool with an effect, by the request that it is for."""

    def __init__(self) -> None:
        self.seen = Counter[str]()

        @tool
        async def once(note: str) -> str:
            self.seen[note] += 1
            return f"done {note}"

        self.tool = once


async def requests(desk: Desk, *, recovery: str) -> list[str]:
    """One for every point; their ids."""
    orders = [
        desk.order(
            target(f'sim;call=once({{"note":"{point}"}})'),
            request=asking("once"),
            request_id=f"{point}-{os.urandom(4).hex()}",
            timeout_s=120,
            recovery=recovery,
        )
        for point in POINTS
    ]
    return [await desk.send(order) for order in orders]


def point_of(request_id: str) -> str:
    return request_id.rpartition("-")[0]


def check_whole_answer(lines: list[EventLine], *, point: str, recovery: str) -> None:
    events = check_stream([renumbered(line, number) for number, line in enumerate(told_at_last(lines))])
    if events[-1]["type"] == "response.completed":
        assert outputs(events) == [f"done {point}"]
    else:  # words that a reader has are said again for none but who asked for that
        assert recovery == "fail"
        assert events[-1]["type"] == "response.failed"
        assert point in ("before_checkpoint", "next_round_begun")


def told_at_last(lines: list[EventLine]) -> list[EventLine]:
    """All of them, unless the last attempt began anew."""
    last = [line for line in lines if line.attempt == lines[-1].attempt]
    return last if last[0].type == "response.created" else lines


@pytest.mark.parametrize("recovery", ["fail", "restart"])
@pytest.mark.parametrize("again", ROUNDS)
async def test_executors_that_are_killed_in_a_tool_round_leave_one_end_and_no_second_effect(
    desk: Desk, serve: Serve, start: StartExecutors, marks: Path, again: int, recovery: str
) -> None:
    effects = Effects()
    await serve(effects.tool)
    processes = await start(len(POINTS) + 1, signal.SIGKILL)

    identities = await requests(desk, recovery=recovery)
    for identity in identities:
        await desk.until(identity, ended, timeout_s=90)
    await desk.nothing_left(timeout_s=20)

    assert sorted(path.name for path in marks.iterdir()) == sorted(identities)
    assert sum(process.returncode is not None for process in processes) == len(POINTS)
    for identity in identities:
        check_whole_answer(desk.live[identity], point=point_of(identity), recovery=recovery)
        assert effects.seen[point_of(identity)] <= 1
    assert [point for point in POINTS if not effects.seen[point]] in ([], ["before_checkpoint"])


@pytest.mark.parametrize("recovery", ["fail", "restart"])
@pytest.mark.parametrize("again", ROUNDS)
async def test_executors_that_stand_still_in_a_tool_round_and_come_back_change_nothing(
    desk: Desk, serve: Serve, start: StartExecutors, marks: Path, again: int, recovery: str
) -> None:
    effects = Effects()
    await serve(effects.tool)
    processes = await start(len(POINTS) + 1, signal.SIGSTOP)

    identities = await requests(desk, recovery=recovery)
    for identity in identities:
        await desk.until(identity, ended, timeout_s=90)
    stored = {identity: await desk.stored_end(identity) for identity in identities}
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    async with asyncio.timeout(60):
        for process in processes:
            assert await process.wait() == 0
    await desk.bus.flush()

    assert sorted(path.name for path in marks.iterdir()) == sorted(identities)
    for identity in identities:
        lines = desk.live[identity]
        whole, late = lines[: place_of_end(lines) + 1], lines[place_of_end(lines) + 1 :]
        check_whole_answer(whole, point=point_of(identity), recovery=recovery)
        assert all(line.attempt < whole[-1].attempt or line.raw == whole[-1].raw for line in late)
        end, before = await desk.stored_end(identity), stored[identity]
        assert end is not None
        assert before is not None
        assert end.raw == before.raw
        told = [item for item in end.data["response"]["output"] if item["type"] == OUTPUT_TYPE]
        assert len(told) <= effects.seen[point_of(identity)] <= 1


def ended(lines: Sequence[EventLine]) -> bool:
    return any(line.is_terminal for line in lines)


def place_of_end(lines: list[EventLine]) -> int:
    return next(place for place, line in enumerate(lines) if line.is_terminal)
