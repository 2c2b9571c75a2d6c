"""Calls to providers at their edges: budgets of rows and targets, retry times, answers that are no stream."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from tests.executor.conftest import BOTH_APIS, POOL, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.valid_stream import Json
from tokenbus_executor.upstreams import Budgets
from tokenbus_executor.upstreams.failures import opening_failure, reading_failure, refusal, retry_after_s
from tokenbus_schemas import ProviderRow
from tokenbus_simulator import Simulator

ROW = ProviderRow(name="lab", base_url="http://x", pool=POOL)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:00:20 GMT", "date": "Wed, 21 Oct 2026 09:00:00 GMT"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:30 GMT"}, 86_400.0),
        ({"retry-after": "1e9"}, 86_400.0),
        ({"retry-after": "inf"}, 86_400.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after-ms": "-5", "retry-after": "3"}, 3.0),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({}, None),
    ],
)
def test_only_sensible_retry_times_are_kept(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
    assert retry_after_s(headers, now=now) == seconds


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (aiohttp.ConnectionTimeoutError("x"), "connect_timeout"),
        (aiohttp.ServerDisconnectedError(), "upstream_unavailable"),
        (aiohttp.ClientOSError(104, "reset"), "upstream_unavailable"),
        (ConnectionResetError(), "upstream_unavailable"),
        (aiohttp.InvalidURL("x"), "upstream_error"),
    ],
)
def test_exceptions_before_the_answer_have_their_codes(error: Exception, code: str) -> None:
    assert opening_failure(error).code == code
    assert reading_failure(error).code == "upstream_cut"


def test_a_page_of_a_proxy_is_not_quoted() -> None:
    failure = refusal(502, headers={}, body=b"<html>secret</html>", now=0.0)

    assert (failure.code, "secret" in failure.message) == ("upstream_unavailable", False)


def test_the_narrowest_budget_counts() -> None:
    row = ROW.model_copy(update={"first_event_timeout_s": 9.0, "connect_timeout_s": 2.0})
    budgets = Budgets(connect_s=10, first_event_s=60, event_gap_s=30)

    assert budgets.of(target(), row=row) == Budgets(2.0, 9.0, 30)
    assert budgets.of(target(first_event_timeout_s=300.0, event_gap_timeout_s=100.0), row=row) == Budgets(2, 300, 100)


async def test_a_target_may_have_a_longer_first_event_budget_than_the_executor(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    await desk.publish_providers(provider(simulator, first_event_timeout_s=0.1))
    async with start_executor():
        slow = target("sim;ttft=400;tokens=3", first_event_timeout_s=5.0)
        events = await desk.answered(await desk.send(desk.order(slow)))

    assert events[-1]["type"] == "response.completed"


RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
COMPLETION: Json = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@pytest.fixture
async def unstreaming() -> AsyncGenerator[str]:
    """The base URL of a provider that never streams."""
    app = web.Application()

    async def response(_: web.Request) -> web.Response:
        return web.json_response(RESPONSE)

    async def completion(_: web.Request) -> web.Response:
        return web.json_response(COMPLETION)

    app.router.add_post("/v1/responses", response)
    app.router.add_post("/v1/chat/completions", completion)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_an_answer_in_one_piece_becomes_a_stream(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor, unstreaming: str, api: str
) -> None:
    await desk.publish_providers(provider(simulator, base_url=unstreaming))
    async with start_executor():
        events = await desk.ask(api=api)

    assert events[-1]["type"] == "response.completed"
    assert text_of(events) == "Hello."
    assert events[-1]["response"]["usage"]["output_tokens"] == 2


async def test_choices_that_the_row_asks_for_are_choices(
    desk: Desk, simulator: Simulator, start_executor: StartExecutor
) -> None:
    await desk.publish_providers(provider(simulator, body={"n": 2}))
    async with start_executor():
        events = await desk.ask("sim;tokens=3", api="chat_completions")

    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "message"]
