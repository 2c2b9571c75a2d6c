"""Time, cancel, concurrency: how a call ends that does not end by itself."""

import asyncio
import threading
import time

import pytest

from tests.conftest import eventually
from tests.toolkit.conftest import Calling, StartHost, hosted
from tokenbus.bus import Bus, Message
from tokenbus.tool_caller import NobodyServes
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_schemas.tools import RUNNING_INTERVAL_S, ToolResult
from tokenbus_toolkit import JournalTimes, Tool, ToolContext, ToolLimits, tool


@tool
async def nothing() -> None:
    """Do nothing."""


async def test_tool_slower_than_its_timeout_is_stopped(host: StartHost, calling: Calling) -> None:
    ended = asyncio.Event()

    @tool(timeout_s=0.1)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await host(slow)
    result = await calling("slow")

    assert (result.outcome, ended.is_set()) == ("timeout", True)
    assert "did not finish within its 0.1 s and was stopped" in str(result.output)


async def test_deadline_of_the_request_counts_where_it_is_earlier(host: StartHost, calling: Calling) -> None:
    @tool
    async def slow() -> None:
        await asyncio.Event().wait()

    await host(slow)
    result = await calling("slow", deadline=time.time() + 0.2)

    assert (result.outcome, "The request's time was up while the tool ran" in str(result.output)) == ("timeout", True)


async def test_call_after_its_deadline_is_not_run(host: StartHost, calling: Calling) -> None:
    ran = asyncio.Event()

    @tool
    async def effect() -> None:
        ran.set()

    await host(effect)
    result = await calling("effect", deadline=time.time() - 1)

    assert (result.outcome, ran.is_set()) == ("timeout", False)
    assert str(result.output).endswith("before the tool started. It had no effect.")


async def test_cancel_ends_a_running_tool(host: StartHost, calling: Calling) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def slow() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await host(slow)
    call = calling.make("slow")
    async with asyncio.TaskGroup() as group:
        sent = group.create_task(calling.send(call))
        await started.wait()
        await calling.caller.cancel(call)

    assert (sent.result().outcome, ended.is_set()) == ("cancelled", True)
    assert await calling.send(call) == sent.result().model_copy(update={"replayed": True})


async def test_cancel_that_overtakes_its_call_counts(host: StartHost, calling: Calling, bus: Bus) -> None:
    ran = asyncio.Event()

    @tool
    async def effect() -> None:
        ran.set()

    await host(effect)
    call = calling.make("effect")
    await calling.caller.cancel(call)
    await bus.flush()
    result = await calling.send(call)

    assert (result.outcome, ran.is_set()) == ("cancelled", False)
    assert result.output == "The call was cancelled before it started. It had no effect."


async def test_cancel_ends_a_call_that_waits_for_its_turn(host: StartHost, calling: Calling) -> None:
    go = asyncio.Event()

    @tool(concurrency=1)
    async def one_at_a_time() -> str:
        await go.wait()
        return "done"

    running = await host(one_at_a_time)
    waiting = calling.make("one_at_a_time")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(calling("one_at_a_time"))
        await eventually(lambda: running.calls_in_hand == 1)
        second = group.create_task(calling.send(waiting))
        await eventually(lambda: running.calls_in_hand == 2)
        await calling.caller.cancel(waiting)
        await eventually(second.done)
        go.set()

    assert (first.result().outcome, second.result().outcome) == ("ok", "cancelled")


async def test_output_that_comes_in_spite_of_the_stop_counts(host: StartHost, calling: Calling) -> None:
    @tool(timeout_s=0.1)
    def careful(context: ToolContext) -> str:
        stopped = threading.Event()
        while not context.stopped:
            stopped.wait(0.01)
        return "rolled back"

    await host(careful)

    assert await calling("careful") == ToolResult(output="rolled back", outcome="ok")


async def test_tool_that_ignores_its_stop_is_reported_and_keeps_its_slot(
    host: StartHost, calling: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    @tool(timeout_s=0.1, concurrency=1)
    def stubborn() -> None:
        go.wait(20)

    await host(stubborn)
    first = await calling("stubborn")
    second = await calling("stubborn", deadline=time.time() + 0.3)
    go.set()
    third = await calling("stubborn")

    assert (first.outcome, "did not stop when told to and may yet take effect" in str(first.output)) == (
        "timeout",
        True,
    )
    assert second.output == "The request's time was up before the tool started. It had no effect."
    assert third.outcome == "ok"
    assert "a tool ignores that it was stopped" in [record.message for record in caplog.records]


async def test_async_tool_that_swallows_its_cancel_is_reported(
    host: StartHost, calling: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    @tool(timeout_s=0.1)
    async def stubborn() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    await host(stubborn)
    result = await calling("stubborn")
    go.set()

    assert (result.outcome, "may yet take effect" in str(result.output)) == ("timeout", True)
    assert "a tool ignores that it was stopped" in [record.message for record in caplog.records]


async def test_sync_tools_never_block_the_loop(host: StartHost, calling: Calling) -> None:
    go = threading.Event()

    @tool
    def blocking() -> str:
        go.wait(20)
        return "done"

    running = await host(blocking, nothing)
    async with asyncio.TaskGroup() as group:
        blocked = [group.create_task(calling("blocking")) for _ in range(20)]
        await eventually(lambda: running.calls_in_hand == 20)
        meanwhile = await calling("nothing")
        go.set()

    assert meanwhile.outcome == "ok"
    assert [call.result().output for call in blocked] == ["done"] * 20


async def test_calls_beyond_the_concurrency_wait_their_turn(host: StartHost, calling: Calling) -> None:
    running = 0
    most = 0

    @tool(concurrency=3)
    async def counted() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await host(counted)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(calling("counted")) for _ in range(60)]

    assert most == 3
    assert [call.result().outcome for call in calls] == ["ok"] * 60


async def test_calls_beyond_those_that_may_wait_are_refused(host: StartHost, calling: Calling) -> None:
    go = asyncio.Event()

    @tool
    async def waiting() -> None:
        await go.wait()

    narrow = Tool(description=waiting.description, bind=waiting.bind, limits=ToolLimits(concurrency=1, max_waiting=1))
    running = await host(narrow)
    async with asyncio.TaskGroup() as group:
        for count in (1, 2):
            group.create_task(calling("waiting"))
            await eventually(lambda count=count: running.calls_in_hand == count)
        refused = await calling("waiting")
        go.set()

    assert (refused.outcome, "1 calls wait already. This one was not run" in str(refused.output)) == ("error", True)


async def test_caller_hears_that_a_long_call_runs(host: StartHost, bus: Bus, calling: Calling) -> None:
    go = asyncio.Event()
    heard: list[bytes] = []

    @tool
    async def long() -> None:
        await go.wait()

    def take(message: Message) -> None:
        heard.append(message.data)

    await host(long)
    inbox = bus.new_inbox()
    await bus.subscribe(inbox, take)
    subject = calling.subjects.tool(scope("shared"), tool_name("long"))
    await bus.publish(subject, calling.make("long").model_dump_json().encode(), reply=inbox)
    await eventually(lambda: len(heard) == 2, timeout_s=3 * RUNNING_INTERVAL_S)
    go.set()
    await eventually(lambda: len(heard) == 3)

    assert heard[:2] == [b'{"type":"running"}'] * 2
    assert ToolResult.model_validate_json(heard[2]).outcome == "ok"


async def test_stopping_host_runs_what_it_has_received(nats_url: str, root: str, calling: Calling) -> None:
    """Ten calls are delivered and two have started when the host is told to stop."""
    go = asyncio.Event()

    @tool(concurrency=2)
    async def slow() -> str:
        await go.wait()
        return "done"

    async def go_once_nobody_serves() -> None:
        while not isinstance(await calling.reach(calling.make("nothing")), NobodyServes):
            pass
        go.set()

    async with asyncio.TaskGroup() as group, hosted(nats_url, slow, nothing, root=root) as running:
        calls = [group.create_task(calling("slow")) for _ in range(10)]
        await eventually(lambda: running.calls_in_hand > 0)
        group.create_task(go_once_nobody_serves())

    assert [call.result().output for call in calls] == ["done"] * 10


async def test_host_that_must_end_says_that_the_outcome_is_unknown(nats_url: str, root: str, calling: Calling) -> None:
    @tool
    async def endless() -> None:
        await asyncio.Event().wait()

    call = calling.make("endless")
    async with asyncio.TaskGroup() as group, hosted(nats_url, endless, root=root, drain_timeout_s=0.1) as running:
        sent = group.create_task(calling.send(call))
        await eventually(lambda: running.calls_in_hand == 1)

    assert sent.result().outcome == "unknown"
    assert "The service that runs the tool was stopped while it ran" in str(sent.result().output)


async def test_idempotent_call_goes_to_another_host_when_its_own_must_end(
    nats_url: str, root: str, calling: Calling
) -> None:
    @tool(name="work", idempotent=True)
    async def endless() -> None:
        await asyncio.Event().wait()

    @tool(name="work", idempotent=True)
    async def quick() -> str:
        return "from the other host"

    async with asyncio.TaskGroup() as group:
        async with hosted(nats_url, endless, root=root, drain_timeout_s=0.1) as running:
            sent = group.create_task(calling("work"))
            await eventually(lambda: running.calls_in_hand == 1)
        async with hosted(nats_url, quick, root=root):
            await sent

    assert sent.result() == ToolResult(output="from the other host", outcome="ok")


async def test_host_that_must_end_does_not_wait_for_anothers_run(
    nats_url: str, root: str, host: StartHost, calling: Calling
) -> None:
    """Both hosts hold the same call; the one that only waits for the other's result ends, and the caller gets it."""
    go = asyncio.Event()

    @tool
    async def long() -> str:
        await go.wait()
        return "done"

    call = calling.make("long")
    async with asyncio.TaskGroup() as group:
        staying = await host(long)
        sent = [group.create_task(calling.send(call))]
        await eventually(lambda: staying.calls_in_hand == 1)
        async with asyncio.timeout(10):
            async with hosted(nats_url, long, root=root, drain_timeout_s=0.1) as leaving:
                while not leaving.calls_in_hand:
                    sent.append(group.create_task(calling.send(call)))
                    await asyncio.wait({sent[0]}, timeout=0.01)
        go.set()

    assert [task.result().output for task in sent] == ["done"] * len(sent)


async def test_claims_of_long_calls_are_renewed(host: StartHost, calling: Calling, bus: Bus) -> None:
    """Two hosts hold the same call for several leases, and the second never takes it over."""
    runs = 0
    go = asyncio.Event()

    @tool
    async def long() -> str:
        nonlocal runs
        runs += 1
        await go.wait()
        return "done"

    times = JournalTimes(lease_s=1.2, renew_s=0.2)
    hosts = [await host(long, times=times), await host(long, times=times)]
    call = calling.make("long")
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(calling.send(call)) for _ in range(8)]
        await eventually(lambda: all(running.calls_in_hand for running in hosts))
        await _written(6, call.key, bus=bus, root=calling.subjects.root)
        go.set()

    assert runs == 1
    assert [task.result().outcome for task in sent] == ["ok"] * 8


async def _written(times: int, key: str, *, bus: Bus, root: str) -> None:
    """Returns when the journal's entry has been written anew that often."""
    revisions: set[int] = set()
    async with asyncio.timeout(15):
        while len(revisions) <= times:
            entry = await bus.kv_get(f"{root}_tools", key)
            revisions |= set() if entry is None else {entry.revision}
