"""Tool hosts that are killed while requests run: each request has one end, and each call at most one effect."""

import json
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.chaos import often
from tests.conftest import eventually
from tests.executor.conftest import TENANT, Desk, target
from tests.executor.tool_serving import asking, kinds, outputs
from tests.toolkit.workers import StartWorker, effects, workers

pytestmark = [pytest.mark.chaos, pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")]

KILLS = range(often(1, chaos=67))
"""At each of three moments: 201 kills at full length."""
REPLICAS = often(2, chaos=6)
REQUESTS = often(10, chaos=100)
ROUNDS = often(6, chaos=10)
"""Of each request: 1,000 rounds at full length."""

worker = pytest.fixture(workers)


def once(counter: Path, *, moment: str, rounds: int = 1) -> str:
    """A model that calls the tool in so many rounds."""
    arguments = json.dumps({"moment": moment, "counter": str(counter)}, separators=(",", ":"))
    return f"sim;rounds={rounds};call=once({quote(arguments, safe='')})"


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize(
    ("moment", "told", "times"),
    [("before effect", "The outcome", 0), ("after effect", "The outcome", 1), ("before reply", "done", 1)],
)
async def test_request_whose_tool_host_is_killed_has_one_end_and_no_second_effect(
    desk: Desk, worker: StartWorker, tmp_path: Path, moment: str, told: str, times: int, kill: int
) -> None:
    counter = tmp_path / f"effects-{kill}"
    hosts = [await worker(), await worker()]
    order = desk.order(target(once(counter, moment=moment)), request=asking("once"), timeout_s=90)
    events = await desk.answered(await desk.send(order), timeout_s=60)
    await desk.nothing_left(timeout_s=10)

    assert kinds(events) == ["function_call", "function_call_output", "message"]
    assert outputs(events)[0].startswith(told)
    assert effects(counter)[f"{TENANT}.{order.request_id}.0.0"] == times
    assert sum(line.is_terminal for line in desk.live[order.request_id]) == 1
    assert sum(host.returncode is not None for host in hosts) == 1


@pytest.mark.usefixtures("executor")
async def test_nothing_is_lost_or_doubled_when_half_of_the_hosts_die(
    desk: Desk, worker: StartWorker, tmp_path: Path
) -> None:
    counter = tmp_path / "effects"
    model = once(counter, moment="from outside", rounds=ROUNDS)
    hosts = [await worker() for _ in range(REPLICAS)]
    orders = [
        desk.order(target(model), request=asking("once"), max_tool_rounds=ROUNDS, timeout_s=900)
        for _ in range(REQUESTS)
    ]
    for order in orders:
        await desk.send(order)
    rounds = REQUESTS * ROUNDS
    for death in range(1, REPLICAS // 2 + 1):
        due = death * rounds // (REPLICAS // 2 + 1)
        await eventually(lambda due=due: effects(counter).total() >= due, timeout_s=600)
        hosts.pop().kill()
    answers = [await desk.answered(order.request_id, timeout_s=600) for order in orders]
    await desk.nothing_left(timeout_s=20)

    counted = effects(counter)
    unknown = 0
    for order, events in zip(orders, answers, strict=True):
        assert kinds(events) == [*("function_call", "function_call_output") * ROUNDS, "message"]
        assert sum(line.is_terminal for line in desk.live[order.request_id]) == 1
        for number, output in enumerate(outputs(events)):
            times = counted.pop(f"{TENANT}.{order.request_id}.{number}.0", 0)
            assert (output, times) == ("done", 1) or (output.startswith("The outcome") and times <= 1)
            unknown += output != "done"
    assert not counted
    assert unknown < rounds / 10
    sys.stdout.write(f"{rounds} rounds, {REPLICAS // 2} of {REPLICAS} hosts killed, {unknown} outcomes unknown\n")
