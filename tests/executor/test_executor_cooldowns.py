"""A target that fails again and again cools down, for all executors, and one real request finds out when it is over."""

import asyncio
import time

import pytest

from tests.conftest import eventually
from tests.executor.conftest import Desk, StartExecutor, provider
from tests.executor.test_executor_failover import asked, called, first, second
from tokenbus_executor.cooldowns import CoolDowns
from tokenbus_executor.failover import CoolingPolicy
from tokenbus_schemas import CoolDown, ErrorCode, Target, cooldown_key
from tokenbus_simulator import Fault, Script, Simulator
from tokenbus_translate import failure


@pytest.fixture
async def two(desk: Desk, simulator: Simulator) -> Desk:
    """Providers `first` and `second`; no executor runs yet."""
    await desk.publish_providers(*[provider(simulator, name=name) for name in ("first", "second")])
    return desk


async def entry(desk: Desk, which: Target) -> CoolDown | None:
    key = cooldown_key(which.provider, api=which.api, model=which.model)
    found = await desk.bus.kv_get(desk.stored.cooldown.name, key)
    return None if found is None else CoolDown.model_validate_json(found.value)


async def fail_three_times(desk: Desk, simulator: Simulator, *, script: Script) -> None:
    for _ in range(3):
        simulator.then(script)
        await asked(desk, first(), second())


SERVER_ERROR = Script(fault=Fault.SERVER_ERROR)
CUT_LATER = Script(fault=Fault.CUT, after=5)


async def test_a_target_that_failed_three_requests_in_a_row_is_not_called(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=30.0):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        simulator.record.clear()
        events = await asked(two, first(), second())

    assert called(simulator) == ["plain"]
    assert "tried" not in events[-1]["response"]["tokenbus"]
    state = await entry(two, first())
    assert state is not None
    assert (state.failures, state.opened, state.code) == (3, 1, "upstream_unavailable")


async def test_two_failures_and_an_answer_start_the_count_anew(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=30.0):
        for script in (SERVER_ERROR, SERVER_ERROR, Script(), SERVER_ERROR, SERVER_ERROR):
            simulator.then(script)
            await asked(two, first(), second())
        simulator.record.clear()
        await asked(two, first(), second())

    assert called(simulator) == ["sim"]
    assert await entry(two, first()) is None


async def test_streams_that_break_in_the_middle_count(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=30.0):
        await fail_three_times(two, simulator, script=CUT_LATER)
        simulator.record.clear()
        await asked(two, first(), second())

    assert called(simulator) == ["plain"]


async def test_every_executor_sees_the_cool_down(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=30.0):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
    async with start_executor(cooldown_first_s=30.0):
        simulator.record.clear()
        await asked(two, first(), second())

    assert called(simulator) == ["plain"]


async def test_a_rate_limit_cools_down_at_once_and_for_as_long_as_it_says(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor():
        simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=30))
        await asked(two, first(), second())
        await asked(two, first(), second())

    assert called(simulator) == ["sim", "plain", "plain"]
    state = await entry(two, first())
    assert state is not None
    assert 28 < state.until - state.failed_at <= 30


async def test_a_bad_request_says_nothing_about_the_target(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor():
        await fail_three_times(two, simulator, script=Script(fault=Fault.BAD_REQUEST))

    assert await entry(two, first()) is None


async def test_after_the_cool_down_one_request_tries_the_target_and_its_end_decides(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(slots=50), start_executor(slots=50):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        await until_half_open(two, first())
        simulator.record.clear()
        orders = [two.order(first(), second("sim;rate=5;tokens=15")) for _ in range(50)]
        simulator.then(
            *[Script(tokens_per_s=5, tokens=15)] * 50
        )  # it lasts until the last one has been put to a target
        for order in orders:
            await two.send(order)
        for order in orders:
            assert (await two.answered(order.request_id))[-1]["type"] == "response.completed"
        assert called(simulator).count("sim") == 1
        assert await entry(two, first()) is None

        await asked(two, first(), second())
        assert called(simulator)[-1] == "sim"


async def test_a_target_that_fails_its_trial_cools_down_for_longer(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor():
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        await until_half_open(two, first())
        simulator.then(CUT_LATER)
        await asked(two, first(), second())

    state = await entry(two, first())
    assert state is not None
    assert (state.opened, state.code, state.probe) == (2, "upstream_cut", None)
    assert state.until - state.failed_at == pytest.approx(0.4)


async def test_a_trial_that_is_cancelled_leaves_the_target_to_the_next_request(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(first_event_timeout_s=20.0):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        await until_half_open(two, first())
        simulator.then(Script(fault=Fault.SILENT))
        request_id = await two.send(two.order(first(), second()))
        async with asyncio.timeout(2):
            await simulator.record.wait_for(lambda exchange: exchange.model == "sim" and exchange.status is None)
        assert await two.stop(request_id)
        await two.answered(request_id)
        simulator.record.clear()
        await asked(two, first(), second())

    assert called(simulator) == ["sim"]


async def test_a_trial_whose_executor_died_leaves_the_target_to_another_request(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    now = time.time()
    dead = CoolDown(
        provider="first",
        model="sim",
        api="responses",
        code="upstream_error",
        failures=3,
        opened=1,
        failed_at=now - 10,
        until=now - 5,
        probe="default.dead.1",
        probe_until=now + 1.0,
    )
    key = cooldown_key("first", api="responses", model="sim")
    await two.bus.kv_put(two.stored.cooldown.name, key, dead.model_dump_json().encode())
    async with start_executor():
        events = await asked(two, first())

    assert events[-1]["type"] == "response.completed"
    assert time.time() >= dead.probe_until
    assert await entry(two, first()) is None


async def test_a_claim_lasts_as_long_as_its_request_and_its_executor(two: Desk) -> None:
    """Whatever the model's budget is: an executor that is gone does not renew it."""
    policy = CoolingPolicy(failures=1, first_s=0.05, lease_s=0.6)
    bucket = two.stored.cooldown.name
    mine, other = (CoolDowns(two.bus, bucket=bucket, policy=policy, clock=time.time) for _ in range(2))
    watches = [await two.bus.kv_watch(bucket, one.on_change) for one in (mine, other)]
    await mine.fail(first(), failure=failure(ErrorCode.UPSTREAM_ERROR, "x"))
    await eventually(lambda: other.standing(first()).state == "half_open")
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(mine.keep_claims())
        assert await mine.claim(first(), probe="one")
        claimed_at = time.time()
        while time.time() < claimed_at + 1.5:
            await other.change_within(0.1)
            assert other.standing(first()).state == "probing"
        assert not await other.claim(first(), probe="two")
        keeping.cancel()
    await eventually(lambda: other.standing(first()).state == "half_open")
    assert await other.claim(first(), probe="two")
    for watch in watches:
        await watch.stop()


async def test_requests_without_another_target_wait_and_follow_the_trial_once_it_shows_life(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=0.4):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        simulator.record.clear()
        orders = [two.order(first("sim")) for _ in range(4)]
        simulator.then(*[Script(first_token_ms=100, tokens_per_s=30, tokens=20)] * 4)
        for order in orders:
            await two.send(order)
        for order in orders:
            assert (await two.answered(order.request_id))[-1]["type"] == "response.completed"

    trial, *others = list(simulator.record)
    assert trial.first_byte_at is not None
    assert trial.finished_at is not None
    for exchange in others:
        assert trial.received_at + 0.1 <= exchange.received_at < trial.finished_at


async def test_a_target_that_stays_away_beyond_our_patience_is_reported_as_such(
    two: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(cooldown_first_s=30.0, target_patience_s=1.0):
        await fail_three_times(two, simulator, script=SERVER_ERROR)
        events = await asked(two, first())

    error = events[-1]["response"]["error"]
    assert error["type"] == "target_unavailable"
    assert "first is cooling down" in error["message"]


async def until_half_open(desk: Desk, which: Target) -> None:
    state = await entry(desk, which)
    assert state is not None
    assert state.until > 0
    await eventually(lambda: state.standing(now=time.time()).state == "half_open")
