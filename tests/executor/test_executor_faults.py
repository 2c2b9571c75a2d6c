"""What becomes of work when the provider fails: the right code, exactly one terminal event, the partial answer kept."""

import asyncio
import time

import pytest

from tests.executor.conftest import BOTH_APIS, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tokenbus.bus import Bus
from tokenbus_schemas import ErrorCode
from tokenbus_simulator import Fault, Simulator

REFUSALS: dict[Fault, ErrorCode] = {
    Fault.BAD_REQUEST: ErrorCode.UPSTREAM_REFUSED,
    Fault.BAD_KEY: ErrorCode.UPSTREAM_AUTHENTICATION,
    Fault.FORBIDDEN: ErrorCode.UPSTREAM_AUTHENTICATION,
    Fault.NO_MODEL: ErrorCode.UPSTREAM_REFUSED,
    Fault.TIMEOUT: ErrorCode.UPSTREAM_UNAVAILABLE,
    Fault.CONFLICT: ErrorCode.UPSTREAM_UNAVAILABLE,
    Fault.RATE_LIMIT: ErrorCode.UPSTREAM_RATE_LIMIT,
    Fault.QUOTA: ErrorCode.UPSTREAM_RATE_LIMIT,
    Fault.SERVER_ERROR: ErrorCode.UPSTREAM_UNAVAILABLE,
    Fault.BAD_GATEWAY: ErrorCode.UPSTREAM_UNAVAILABLE,
    Fault.OVERLOADED: ErrorCode.UPSTREAM_UNAVAILABLE,
}
SILENCES = (Fault.SILENT, Fault.HEADERS, Fault.COMMENTS, Fault.STALL, Fault.EMPTIES)
BREAKS: dict[Fault, ErrorCode] = {
    Fault.ERROR: ErrorCode.UPSTREAM_RATE_LIMIT,
    Fault.ERROR_FLAT: ErrorCode.UPSTREAM_RATE_LIMIT,
    Fault.FAILED: ErrorCode.UPSTREAM_RATE_LIMIT,
    Fault.MALFORMED: ErrorCode.UPSTREAM_PROTOCOL,
    Fault.CUT: ErrorCode.UPSTREAM_CUT,
    Fault.RESET: ErrorCode.UPSTREAM_CUT,
    Fault.EOF: ErrorCode.UPSTREAM_CUT,
}
WORKS = frozenset({Fault.DRIP})


def test_every_fault_of_the_simulator_has_its_row() -> None:
    assert {*REFUSALS, *SILENCES, *BREAKS, *WORKS} == set(Fault)


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_refusal_ends_the_answer_with_its_code(desk: Desk, executor: Bus, fault: Fault, api: str) -> None:
    del executor
    events = await desk.ask(f"sim-{fault}", api=api)

    response = events[-1]["response"]
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]
    assert response["error"]["type"] == REFUSALS[fault]
    assert response["output"] == []


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", SILENCES)
async def test_signs_of_life_without_progress_run_out_of_the_first_event_budget(
    desk: Desk, impatient: Bus, fault: Fault, api: str
) -> None:
    del impatient
    events = await desk.ask(f"sim-{fault};repeat=20", api=api)

    error = events[-1]["response"]["error"]
    assert error["type"] == "first_event_timeout"
    assert "0.8 s (first event budget)" in error["message"]


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", [Fault.STALL, Fault.EMPTIES])
async def test_a_stream_that_stops_making_progress_runs_out_of_the_gap_budget(
    desk: Desk, impatient: Bus, fault: Fault, api: str
) -> None:
    del impatient
    events = await desk.ask(f"sim-{fault};after=5;repeat=20", api=api)

    response = events[-1]["response"]
    assert response["error"]["type"] == "event_gap_timeout"
    assert "0.8 s (event gap budget)" in response["error"]["message"]
    assert response["output"][0]["content"][0]["text"] == text_of(events) != ""


async def test_a_slow_stream_within_the_gap_budget_is_left_alone(desk: Desk, impatient: Bus) -> None:
    del impatient
    events = await desk.ask("sim-drip;rate=5;tokens=6")

    assert events[-1]["type"] == "response.completed"


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("fault", BREAKS)
@pytest.mark.parametrize("after", [0, 5])
async def test_a_broken_stream_ends_with_its_code_and_the_partial_answer(
    desk: Desk, executor: Bus, fault: Fault, api: str, after: int
) -> None:
    del executor
    events = await desk.ask(f"sim-{fault};after={after}", api=api)

    response = events[-1]["response"]
    assert response["error"]["type"] == BREAKS[fault]
    assert [item["status"] for item in response["output"]] == (["incomplete"] if after else [])
    assert (text_of(events) != "") is bool(after)


async def test_a_failed_answer_is_stored_once_and_its_work_is_gone(desk: Desk, executor: Bus) -> None:
    del executor
    request_id = await desk.send(desk.order(target("sim-cut;after=5")))
    events = await desk.answered(request_id)

    stored = await desk.stored_end(request_id)
    assert stored is not None
    assert dict(stored.data) == events[-1]
    await desk.nothing_left()


async def test_a_provider_that_nobody_listens_for_is_unavailable(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    await desk.publish_providers(provider(simulator, base_url="http://127.0.0.1:1/v1"))
    events = await desk.ask()

    assert events[-1]["response"]["error"]["type"] == "upstream_unavailable"


async def test_a_connection_that_does_not_come_runs_out_of_the_connect_budget(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # the TLS handshake that we leave unanswered, until the client gives up
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await desk.publish_providers(provider(simulator, base_url=f"https://127.0.0.1:{port}/v1"))
        async with start_executor(connect_timeout_s=0.3, first_event_timeout_s=5.0):
            events = await desk.ask()
            async with asyncio.timeout(1):
                await hung_up.wait()

    assert events[-1]["response"]["error"]["type"] == "connect_timeout"


async def test_a_provider_without_its_key_is_not_called_and_the_error_names_the_variable(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    async with start_executor(keys={}):
        events = await desk.ask()

    error = events[-1]["response"]["error"]
    assert error["type"] == "target_unavailable"
    assert "LAB_KEY" in error["message"]
    assert len(simulator.record) == 0


async def test_a_provider_that_left_the_catalog_is_named(desk: Desk, executor: Bus) -> None:
    del executor
    request_id = await desk.send(desk.order(target(provider="gone")))
    events = await desk.answered(request_id)

    error = events[-1]["response"]["error"]
    assert (error["type"], "gone" in error["message"]) == ("target_unavailable", True)


async def test_expired_work_never_reaches_the_provider(desk: Desk, executor: Bus, simulator: Simulator) -> None:
    del executor
    now = time.time()
    events = await desk.ask(accepted_at=now - 20, deadline=now - 1)

    assert events[-1]["response"]["error"]["type"] == "deadline_exceeded"
    assert "19 s" in events[-1]["response"]["error"]["message"]
    assert len(simulator.record) == 0


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize("model", ["sim-silent", "sim;rate=20;tokens=500"])
async def test_the_deadline_ends_the_answer_and_closes_the_connection(
    desk: Desk, executor: Bus, simulator: Simulator, api: str, model: str
) -> None:
    del executor
    request_id = await desk.send(desk.order(target(model, api=api), timeout_s=0.3))
    events = await desk.answered(request_id)

    assert events[-1]["response"]["error"]["type"] == "deadline_exceeded"
    async with asyncio.timeout(1):
        await simulator.record.wait_for(lambda exchange: exchange.closed_at is not None)


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_what_the_api_can_not_say_is_refused_by_name(
    desk: Desk, executor: Bus, simulator: Simulator, api: str
) -> None:
    del executor
    said = (
        {"seed": 7}
        if api == "responses"
        else {"tools": [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]}
    )
    events = await desk.ask(api=api, request={"input": "Hi.", **said})

    error = events[-1]["response"]["error"]
    assert error["type"] in {"unsupported_parameter", "unsupported_value"}
    assert error["param"].startswith(next(iter(said)))
    assert len(simulator.record) == 0
