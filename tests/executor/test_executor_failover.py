"""A target that fails before it has answered is followed by the next one, and nobody sees the change."""

import asyncio
import time
from typing import Any

import pytest

from tests.executor.conftest import BOTH_APIS, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.valid_stream import Json
from tokenbus.bus import Bus
from tokenbus_schemas import Target
from tokenbus_simulator import Fault, Script, Simulator

NOBODY = "http://127.0.0.1:1/v1"
MOVES_ON = {
    "408": "upstream_unavailable",
    "409": "upstream_unavailable",
    "429": "upstream_rate_limit",
    "quota": "upstream_rate_limit",
    "401": "upstream_authentication",
    "404": "upstream_refused",
    "500": "upstream_unavailable",
    "502": "upstream_unavailable",
    "503": "upstream_unavailable",
    "silent": "first_event_timeout",
    "comments": "first_event_timeout",
    "stall": "first_event_timeout",
    "error": "upstream_rate_limit",
    "failed": "upstream_rate_limit",
    "cut": "upstream_cut",
    "eof": "upstream_cut",
    "malformed": "upstream_protocol",
}


@pytest.fixture
async def two(desk: Desk, simulator: Simulator, impatient: Bus) -> Desk:
    """Providers `first` and `second`, and `away`, where nobody listens."""
    del impatient
    rows = [provider(simulator, name=name) for name in ("first", "second")]
    await desk.publish_providers(*rows, provider(simulator, name="away", base_url=NOBODY))
    return desk


def first(model: str = "sim", **changes: Any) -> Target:
    return target(model, provider="first", **changes)


def second(model: str = "plain", **changes: Any) -> Target:
    return target(model, provider="second", **changes)


async def asked(desk: Desk, *targets: Target, timeout_s: float = 30.0, **changes: Any) -> list[Json]:
    return await desk.answered(await desk.send(desk.order(*targets, timeout_s=timeout_s, **changes)))


def called(simulator: Simulator) -> list[str | None]:
    return [exchange.model for exchange in simulator.record]


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", MOVES_ON)
async def test_a_failure_before_the_first_event_is_followed_by_the_next_target(
    two: Desk, simulator: Simulator, fault: str, api: str
) -> None:
    events = await asked(two, first(f"sim-{fault};repeat=20", api=api), second(api=api))

    response = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    assert text_of(events) != ""
    assert response["tokenbus"]["provider"] == "second"
    assert [(one["provider"], one["code"]) for one in response["tokenbus"]["tried"]] == [("first", MOVES_ON[fault])]
    assert len(called(simulator)) == 2


async def test_a_provider_that_can_not_be_reached_is_followed_by_the_next(two: Desk) -> None:
    events = await asked(two, target(provider="away"), second())

    assert events[-1]["response"]["tokenbus"]["tried"][0]["code"] == "upstream_unavailable"
    assert events[-1]["type"] == "response.completed"


async def test_the_next_target_may_speak_the_other_api(two: Desk) -> None:
    events = await asked(two, first("sim-500", api="responses"), second(api="chat_completions"))

    assert events[0]["response"]["tokenbus"]["api"] == "chat_completions"
    assert events[-1]["type"] == "response.completed"


@pytest.mark.parametrize("fault", ["400", "403"])
async def test_a_bad_request_is_put_to_nobody_else(two: Desk, simulator: Simulator, fault: str) -> None:
    simulator.then(Script(fault=Fault(fault)))
    events = await asked(two, first(), second())
    expected = {"400": ["sim"], "403": ["sim", "plain"]}  # 403 is about our credentials

    assert called(simulator) == expected[fault]
    assert events[-1]["type"] == ("response.failed" if fault == "400" else "response.completed")


@pytest.mark.parametrize("fault", ["cut", "error", "stall", "malformed"])
async def test_after_the_first_event_no_other_target_is_called(two: Desk, simulator: Simulator, fault: str) -> None:
    events = await asked(two, first(f"sim-{fault};after=5"), second())

    assert called(simulator) == [f"sim-{fault};after=5"]
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text_of(events) != ""


async def test_when_all_targets_fail_the_error_tells_of_each(two: Desk) -> None:
    events = await asked(two, first("sim-401"), second("sim-quota"))

    error = events[-1]["response"]["error"]
    assert error["type"] == "upstream_rate_limit"
    assert error["message"].startswith("first: the provider (status 401)")
    assert "; second: the provider (status 429)" in error["message"]


async def test_a_passing_failure_of_the_only_target_is_tried_again(two: Desk, simulator: Simulator) -> None:
    simulator.then(Script(fault=Fault.SERVER_ERROR), Script(fault=Fault.CUT))
    events = await asked(two, first())

    assert events[-1]["type"] == "response.completed"
    assert [one["code"] for one in events[-1]["response"]["tokenbus"]["tried"]] == [
        "upstream_unavailable",
        "upstream_cut",
    ]


async def test_the_only_target_is_tried_three_times_at_most(two: Desk, simulator: Simulator) -> None:
    await asked(two, first("sim-500"))

    assert len(called(simulator)) == 3


@pytest.mark.parametrize("fault", ["silent", "400", "quota", "malformed"])
async def test_what_another_try_would_not_mend_is_not_tried_again(two: Desk, simulator: Simulator, fault: str) -> None:
    await asked(two, first(f"sim-{fault}"))

    assert len(called(simulator)) == 1


async def test_retry_after_of_the_only_target_is_waited_for(two: Desk, simulator: Simulator) -> None:
    simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=1))
    events = await asked(two, first())

    assert events[-1]["type"] == "response.completed"
    assert simulator.record[1].received_at - simulator.record[0].received_at >= 1


async def test_retry_after_beyond_the_deadline_is_not_waited_for(two: Desk, simulator: Simulator) -> None:
    simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=10))
    started = time.monotonic()
    events = await asked(two, first(), timeout_s=5)

    assert events[-1]["response"]["error"]["type"] == "upstream_rate_limit"
    assert time.monotonic() - started < 2


async def test_retry_after_is_not_waited_for_while_another_target_is_left(two: Desk, simulator: Simulator) -> None:
    simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=10))
    started = time.monotonic()
    events = await asked(two, first(), second())

    assert events[-1]["type"] == "response.completed"
    assert time.monotonic() - started < 2


async def test_a_stop_ends_the_wait_for_a_target(two: Desk, simulator: Simulator) -> None:
    simulator.then(Script(fault=Fault.RATE_LIMIT, retry_after_s=10))
    request_id = await two.send(two.order(first()))
    async with asyncio.timeout(2):
        await simulator.record.wait_for(lambda exchange: exchange.finished_at is not None)
    assert await two.stop(request_id)

    assert (await two.answered(request_id))[-1]["response"]["status"] == "cancelled"


async def test_a_provider_without_its_key_is_passed_over(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    await desk.publish_providers(provider(simulator, name="first", api_key_env="NOT_SET"), provider(simulator))
    async with start_executor():
        events = await asked(desk, first(), target("plain"))

    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["tokenbus"]["tried"][0]["code"] == "target_unavailable"
    assert called(simulator) == ["plain"]


async def test_what_one_api_can_not_say_the_next_target_may(two: Desk, simulator: Simulator) -> None:
    targets = first(api="responses"), second(api="chat_completions")
    events = await asked(two, *targets, request={"input": "Hi.", "seed": 7})

    assert events[-1]["type"] == "response.completed"
    assert called(simulator) == ["plain"]


async def test_the_soonest_target_leads_once_all_are_known(two: Desk, simulator: Simulator) -> None:
    targets = first("sim;ttft=80;tokens=2"), second("sim;ttft=5;tokens=2")
    for _ in range(4):
        await asked(two, *targets, strategy="least_latency")

    assert called(simulator) == [targets[0].model, *[targets[1].model] * 3]


async def test_lots_are_drawn_by_weight(two: Desk, simulator: Simulator) -> None:
    for _ in range(12):
        await asked(two, first("a", weight=1e-9), second("b", weight=1.0), strategy="weighted")

    assert set(called(simulator)) == {"b"}
