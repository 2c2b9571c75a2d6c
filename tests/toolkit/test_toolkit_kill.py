"""Hosts that are killed at the worst moments: a call takes effect at most once, and nobody is lied to about it."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.chaos import often
from tests.toolkit.conftest import Calling
from tests.toolkit.workers import StartWorker, effects, workers
from tokenbus.bus import Bus
from tokenbus.tool_caller import CallerTimes, tool_caller
from tokenbus_schemas import Subjects
from tokenbus_schemas.tools import ToolResult

pytestmark = pytest.mark.chaos

RUNS = range(often(1, chaos=35))
"""Of six kinds: 210 kills at full length."""
KILLING_S = often(3, chaos=60)


worker = pytest.fixture(workers)


@pytest.fixture
async def impatient(bus: Bus, subjects: Subjects) -> AsyncGenerator[Calling]:
    """Sends a call again after half a second: these tools are quick."""
    async with tool_caller(bus, subjects, times=CallerTimes(silence_s=0.5)) as caller:
        yield Calling(caller, subjects)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    ("moment", "outcome", "times"),
    [("before effect", "unknown", 0), ("after effect", "unknown", 1), ("before reply", "ok", 1)],
)
async def test_killed_host_never_makes_a_call_take_effect_twice(
    worker: StartWorker, impatient: Calling, tmp_path: Path, moment: str, outcome: str, times: int, run: int
) -> None:
    counter = tmp_path / f"effects-{run}"
    hosts = [await worker(), await worker()]
    call = impatient.make("once", json.dumps({"moment": moment, "counter": str(counter)}))

    result = await impatient.send(call)
    again = await impatient.send(call)

    assert (result.outcome, effects(counter)[call.key]) == (outcome, times)
    assert again == result.model_copy(update={"replayed": True})
    assert sum(process.returncode is not None for process in hosts) == 1


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("moment", "times"), [("before effect", 1), ("after effect", 2), ("before reply", 1)])
async def test_idempotent_call_of_a_killed_host_is_run_again(
    worker: StartWorker, impatient: Calling, tmp_path: Path, moment: str, times: int, run: int
) -> None:
    counter = tmp_path / f"effects-{run}"
    await worker()
    await worker()
    call = impatient.make("repeatable", json.dumps({"moment": moment, "counter": str(counter)}))

    result = await impatient.send(call)

    assert (result.outcome, result.output) == ("ok", "done")
    assert effects(counter)[call.key] == times


async def test_kills_at_any_moment_neither_double_nor_hide_an_effect(
    worker: StartWorker, impatient: Calling, tmp_path: Path
) -> None:
    """Calls go on while hosts die and come back: each has one effect, or says that its outcome is unknown."""
    counter = tmp_path / "effects"
    arguments = json.dumps({"moment": "never", "counter": str(counter)})
    hosts = [await worker(), await worker()]
    results: dict[str, ToolResult] = {}
    ended = time.monotonic() + KILLING_S

    async def calls(lane: int) -> None:
        count = 0
        while time.monotonic() < ended:
            call = impatient.make("once", arguments, request_id=f"lane{lane}", round=count)
            results[call.key] = await impatient.send(call, timeout_s=40)
            count += 1

    async with asyncio.TaskGroup() as group:
        for lane in range(8):
            group.create_task(calls(lane))
        while time.monotonic() < ended:
            victim = hosts.pop(random.randrange(len(hosts)))
            victim.kill()
            hosts.append(await worker())

    counted = effects(counter)
    assert len(results) > 100
    assert max(counted.values()) == 1
    for key, result in results.items():
        assert result.outcome in ("ok", "unknown")
        assert counted[key] == 1 or result.outcome == "unknown"
