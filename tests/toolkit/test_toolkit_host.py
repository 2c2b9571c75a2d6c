"""A hosted tool, called over the bus: what comes back, once, whatever the tool does."""

import asyncio
import json
import logging
import time
from collections import Counter

import pytest

from tests.conftest import eventually
from tests.toolkit.conftest import Calling, StartHost
from tokenbus.bus import Bus, Message
from tokenbus.service_api import ERROR_CODE_HEADER
from tokenbus.tool_caller import NobodyServes
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_schemas.tools import ToolResult
from tokenbus_toolkit import Tool, ToolContext, ToolError, tool


@tool
async def add(first: int, second: int = 2) -> int:
    """Add two numbers."""
    return first + second


@tool
async def nothing() -> None:
    """Do nothing."""


async def test_call_gets_its_output(host: StartHost, calling: Calling) -> None:
    await host(add)

    assert await calling("add", '{"first": 40}') == ToolResult(output="42", outcome="ok")


async def test_tool_that_nobody_serves_is_known_at_once(calling: Calling, subjects: Subjects) -> None:
    started = time.monotonic()

    missing = await calling.reach(calling.make("missing"))

    assert missing == NobodyServes(subjects.tool(scope("shared"), tool_name("missing")))
    assert time.monotonic() - started < 1.0


async def test_tool_that_returns_nothing_has_an_empty_output(host: StartHost, calling: Calling) -> None:
    await host(nothing)

    assert await calling("nothing") == ToolResult(output="", outcome="ok")


async def test_wrong_arguments_are_explained_and_the_tool_is_not_run(host: StartHost, calling: Calling) -> None:
    await host(add)

    result = await calling("add", '{"first": "many", "third": 1}')

    assert result.outcome == "invalid_arguments"
    assert result.output == (
        "Invalid arguments for add: first: Input should be a valid integer, unable to parse string as an integer; "
        "third: there is no such parameter; there are first, second. It was not run; correct them and call again."
    )


async def test_tool_error_reaches_the_model_word_for_word(host: StartHost, calling: Calling) -> None:
    @tool
    def book() -> None:
        raise ToolError("The table is taken; try 8 pm.")

    await host(book)

    assert await calling("book") == ToolResult(output="The table is taken; try 8 pm.", outcome="error")


async def test_other_exceptions_stay_in_our_log_without_what_they_say(
    host: StartHost, calling: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    async def leak(secret: str) -> None:
        raise RuntimeError(f"cannot use {secret}")

    await host(leak)
    result = await calling("leak", '{"secret": "hunter2"}')

    assert result.outcome == "error"
    assert "internal error" in str(result.output)
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["a tool failed"]
    assert "hunter2" not in str(result.output) + "".join(str(vars(record)) for record in caplog.records)
    assert "RuntimeError at test_toolkit_host.py" in "".join(str(vars(record)) for record in caplog.records)


async def test_tool_that_exits_or_cancels_itself_ends_only_its_call(host: StartHost, calling: Calling) -> None:
    @tool
    async def leave() -> None:
        raise SystemExit(3)

    @tool
    def leave_in_thread() -> None:
        raise SystemExit(3)

    @tool
    async def cancel() -> None:
        raise asyncio.CancelledError

    @tool
    async def escape() -> None:
        raise BaseException

    await host(leave, leave_in_thread, cancel, escape, nothing)

    for name in ("leave", "leave_in_thread", "cancel", "escape"):
        assert (await calling(name)).outcome == "error"
    assert (await calling("nothing")).outcome == "ok"


async def test_value_that_is_no_output_is_an_error(host: StartHost, calling: Calling) -> None:
    @tool
    def odd() -> object:
        return object()

    await host(odd)
    result = await calling("odd")

    assert (result.outcome, result.output) == (
        "error",
        "The tool ran, but returned a object, which is no text and can not be written as JSON.",
    )


async def test_context_has_what_the_call_says(host: StartHost, calling: Calling) -> None:
    @tool(timeout_s=5)
    async def who(context: ToolContext) -> list[object]:
        return [context.tenant, context.request_id, context.call_id, context.key, 4 < context.remaining_s <= 5]

    await host(who)
    result = await calling("who", tenant="acme", request_id="req", round=2, index=1, call_id="call_9")

    assert json.loads(str(result.output)) == ["acme", "req", "call_9", "acme.req.2.1", True]


async def test_progress_reaches_the_caller_while_the_tool_runs(host: StartHost, calling: Calling) -> None:
    heard = asyncio.Event()

    @tool
    async def build(context: ToolContext) -> str:
        await context.progress("half", fraction=0.5)
        await heard.wait()
        return "done"

    @tool
    def build_in_thread(context: ToolContext) -> str:
        context.progress_threadsafe("thread")
        return "done"

    await host(build, build_in_thread)
    async with asyncio.TaskGroup() as group:
        building = group.create_task(calling("build"))
        await eventually(lambda: bool(calling.progress))
        heard.set()
    await calling("build_in_thread")

    assert building.result().output == "done"
    assert [(news.message, news.fraction) for news in calling.progress] == [("half", 0.5), ("thread", None)]


async def test_second_delivery_gets_the_stored_output(host: StartHost, calling: Calling) -> None:
    runs = Counter[str]()

    @tool
    async def effect() -> int:
        runs["effect"] += 1
        return runs["effect"]

    await host(effect)
    call = calling.make("effect")

    assert await calling.send(call) == ToolResult(output="1", outcome="ok")
    assert await calling.send(call) == ToolResult(output="1", outcome="ok", replayed=True)


async def test_deliveries_at_the_same_time_run_once(host: StartHost, calling: Calling) -> None:
    runs = Counter[str]()
    go = asyncio.Event()

    @tool
    async def effect() -> str:
        runs["effect"] += 1
        await go.wait()
        return "done"

    hosts = [await host(effect), await host(effect), await host(effect)]
    call = calling.make("effect")
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(calling.send(call)) for _ in range(20)]
        await eventually(lambda: sum(running.calls_in_hand for running in hosts) == len(hosts))
        go.set()

    assert runs["effect"] == 1
    assert [task.result().output for task in sent] == ["done"] * 20


async def test_one_key_never_answers_for_another_call(host: StartHost, calling: Calling) -> None:
    await host(add)
    await calling("add", '{"first": 1}', request_id="same")

    result = await calling("add", '{"first": 2}', request_id="same")

    assert (result.outcome, "under the same key" in str(result.output)) == ("error", True)


async def test_fifty_calls_of_a_round_run_at_once(host: StartHost, calling: Calling) -> None:
    together = asyncio.Barrier(50)

    @tool
    async def meet(number: int) -> int:
        await together.wait()
        return number

    await host(meet)
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(calling("meet", json.dumps({"number": index}), request_id="many", index=index))
            for index in range(50)
        ]

    assert [call.result().output for call in calls] == [str(index) for index in range(50)]


async def test_hosts_share_the_calls(host: StartHost, calling: Calling) -> None:
    served = Counter[str]()

    def tool_of(name: str) -> Tool:
        @tool(name="work")
        async def work() -> None:
            served[name] += 1

        return work

    await host(tool_of("first"))
    await host(tool_of("second"))
    for _ in range(40):
        await calling("work")

    assert min(served["first"], served["second"]) > 5


async def test_output_of_a_megabyte_is_an_error_that_names_the_limit(host: StartHost, calling: Calling) -> None:
    @tool
    async def huge(size: int) -> str:
        return "x" * size

    await host(huge)
    fits = await calling("huge", '{"size": 500000}')
    too_large = await calling("huge", '{"size": 1048576}')

    assert (fits.outcome, len(fits.output)) == ("ok", 500_000)
    assert too_large.outcome == "error"
    assert "over the limit of 524288 bytes" in str(too_large.output)


async def test_output_limit_is_never_above_what_the_server_takes(host: StartHost, calling: Calling) -> None:
    @tool(max_output_bytes=100_000_000)
    async def huge() -> str:
        return "x" * 1_048_000

    await host(huge)
    result = await calling("huge")

    assert (result.outcome, "over the limit of 1044480 bytes" in str(result.output)) == ("error", True)


async def test_arguments_over_the_servers_limit_are_refused_before_they_are_sent(
    host: StartHost, calling: Calling
) -> None:
    await host(add)
    result = await calling("add", json.dumps({"first": "x" * 2_000_000}))

    assert result.outcome == "invalid_arguments"
    assert "over the bus's limit of 1048576 bytes" in str(result.output)


async def test_tool_of_a_tenant_is_closed_to_others(host: StartHost, calling: Calling) -> None:
    @tool(scope="acme")
    async def private() -> str:
        return "ours"

    await host(private)
    ours = await calling.send(calling.make("private", tenant="acme"), within="acme")
    theirs = await calling.send(calling.make("private", tenant="other"), within="acme")

    assert (ours.output, theirs.outcome) == ("ours", "error")
    assert await calling.reach(calling.make("private", tenant="acme")) == NobodyServes(
        f"{calling.subjects.root}.tools.shared.private"
    )


async def test_call_that_can_not_be_read_is_answered_with_the_field(
    host: StartHost, bus: Bus, subjects: Subjects
) -> None:
    await host(add)
    subject = subjects.tool(scope("shared"), tool_name("add"))

    answer: Message = await bus.request(subject, b'{"tenant": "default"}', timeout_s=5)

    result = ToolResult.model_validate_json(answer.data)
    assert result.outcome == "error"
    assert "request_id: Field required" in str(result.output)
    assert answer.headers[ERROR_CODE_HEADER] == "400"
