"""The caller against hosts of any language: plain subscribers that answer, fall silent, or go."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toolkit.conftest import Calling
from tokenbus.bus import Bus, Message, Subscription
from tokenbus.tool_caller import CallerTimes, NobodyServes, tool_caller
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import TOKEN_PATTERN, Scope, ToolName, scope, tool_name
from tokenbus_schemas.tools import ToolCall, ToolResult

RESULT = b'{"type":"result","output":"done","outcome":"ok"}'
TIMES = CallerTimes(silence_s=0.2, abandoned_s=0.6)
TOKENS = st.from_regex(TOKEN_PATTERN, fullmatch=True)


@pytest.fixture
async def quick(bus: Bus, subjects: Subjects) -> AsyncGenerator[Calling]:
    async with tool_caller(bus, subjects, times=TIMES) as caller:
        yield Calling(caller, subjects)


@asynccontextmanager
async def a_host(
    nats_url: str, subjects: Subjects, answer: Callable[[int], list[bytes]]
) -> AsyncGenerator[Subscription]:
    """Serves the tool `work`; `answer` says what it answers to the first delivery, the second, and so on."""
    deliveries = 0

    async def receive(message: Message) -> None:
        nonlocal deliveries
        deliveries += 1
        for payload in answer(deliveries):
            await bus.publish(message.reply, payload)

    async with Bus.connect(nats_url, name="tests-host") as bus:
        subscription = await bus.subscribe(subjects.tool(scope("shared"), tool_name("work")), receive, queue="tools")
        await bus.flush()
        yield subscription


async def test_silent_host_is_asked_again(nats_url: str, subjects: Subjects, quick: Calling) -> None:
    async with a_host(nats_url, subjects, lambda delivery: [RESULT] if delivery == 3 else []):
        result = await quick("work")

    assert result == ToolResult(output="done", outcome="ok")


async def test_host_that_says_that_it_runs_is_not_asked_again(
    nats_url: str, subjects: Subjects, quick: Calling
) -> None:
    deliveries: list[int] = []
    go = asyncio.Event()

    async with Bus.connect(nats_url, name="tests-host") as bus, asyncio.TaskGroup() as group:

        def receive(message: Message) -> None:
            deliveries.append(1)
            group.create_task(work(message.reply))

        async def work(reply: str) -> None:
            for _ in range(8):
                await bus.publish(reply, b'{"type":"running"}')
                await asyncio.sleep(TIMES.silence_s / 2)  # what is tested is that it stays silent for less
            await bus.publish(reply, RESULT)
            go.set()

        await bus.subscribe(subjects.tool(scope("shared"), tool_name("work")), receive, queue="tools")
        await bus.flush()
        result = await quick("work")

    assert (result.outcome, len(deliveries), go.is_set()) == ("ok", 1, True)


async def test_call_whose_host_is_gone_for_good_has_an_unknown_outcome(
    nats_url: str, subjects: Subjects, quick: Calling
) -> None:
    taken = asyncio.Event()

    def take(delivery: int) -> list[bytes]:
        del delivery
        taken.set()
        return []

    async with asyncio.TaskGroup() as group:
        async with a_host(nats_url, subjects, take):
            sent = group.create_task(quick("work"))
            await taken.wait()
        await sent

    assert sent.result().outcome == "unknown"
    assert "the host that ran it is gone" in str(sent.result().output)


async def test_call_whose_host_comes_back_gets_its_result(nats_url: str, subjects: Subjects, quick: Calling) -> None:
    taken = asyncio.Event()

    def take(delivery: int) -> list[bytes]:
        del delivery
        taken.set()
        return []

    async with asyncio.TaskGroup() as group:
        async with a_host(nats_url, subjects, take):
            sent = group.create_task(quick("work"))
            await taken.wait()
        async with a_host(nats_url, subjects, lambda delivery: [RESULT]):
            await sent

    assert sent.result().outcome == "ok"


async def test_host_that_never_ends_costs_no_more_than_the_timeout(
    nats_url: str, subjects: Subjects, quick: Calling
) -> None:
    async with a_host(nats_url, subjects, lambda delivery: [b'{"type":"running"}']):
        started = time.monotonic()
        result = await quick.send(quick.make("work"), timeout_s=0.5)

    assert result.outcome == "unknown"
    assert time.monotonic() - started < 2


async def test_what_is_no_message_of_a_call_is_ignored(nats_url: str, subjects: Subjects, quick: Calling) -> None:
    odd = [b"", b"not json", b'{"type":"later"}', b'{"type":"running","more":1}', RESULT, RESULT]
    async with a_host(nats_url, subjects, lambda delivery: odd):
        result = await quick("work")

    assert result.outcome == "ok"


async def test_call_that_is_cancelled_leaves_nothing_behind(nats_url: str, subjects: Subjects, quick: Calling) -> None:
    taken = asyncio.Event()

    def take(delivery: int) -> list[bytes]:
        del delivery
        taken.set()
        return []

    async with a_host(nats_url, subjects, take), asyncio.TaskGroup() as group:
        sent = group.create_task(quick("work"))
        await taken.wait()
        sent.cancel()

    assert quick.caller.open_calls == 0


async def test_nobody_listening_is_said_at_once_and_not_later(quick: Calling) -> None:
    assert isinstance(await quick.reach(quick.make("work")), NobodyServes)


@given(TOKENS, TOKENS, TOKENS)
def test_tool_subjects_are_parsed_as_they_were_built(root: str, scope: str, name: str) -> None:
    subjects = Subjects(root)

    assert subjects.parse_tool(subjects.tool(Scope(scope), ToolName(name))) == (scope, name)


@given(TOKENS, TOKENS, st.integers(0), st.integers(0))
def test_cancel_subjects_are_parsed_as_they_were_built(tenant: str, request: str, round_: int, index: int) -> None:
    fields = {"tenant": tenant, "request_id": request, "round": round_, "index": index, "call_id": "c", "name": "n"}
    call = ToolCall.model_validate({**fields, "arguments": "", "deadline": 0})
    subjects = Subjects("root")

    assert subjects.parse_tool_cancel(subjects.tool_cancel(call.key)) == call.key


@pytest.mark.parametrize(
    "subject", ["root.tools.shared", "root.work.shared.x", "other.tools.shared.x", "root.tools.a.b.c"]
)
def test_other_subjects_are_no_tools(subject: str) -> None:
    with pytest.raises(ValueError, match="is not root.tools followed by 2 tokens"):
        Subjects("root").parse_tool(subject)
