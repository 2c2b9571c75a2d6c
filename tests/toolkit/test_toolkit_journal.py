"""The journal: who may run a call, and what is final."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import StartNatsServer, eventually
from tests.toolkit.conftest import Calling, hosted
from tokenbus.bus import Bus
from tokenbus.tool_caller import CallerTimes, tool_caller
from tokenbus.tool_journal import journal_stream
from tokenbus_schemas import Subjects
from tokenbus_schemas.tools import ToolCall, ToolResult
from tokenbus_toolkit import JournalTimes, tool
from tokenbus_toolkit.journal import Busy, Claim, Journal
from tokenbus_toolkit.journal_entry import ClaimEntry, LeaseWatch, ResultEntry, call_digest, read_entry

TIMES = JournalTimes(lease_s=0.3, renew_s=0.1, give_up_s=1.0)
DONE = ToolResult(output="done", outcome="ok")
MakeJournal = Callable[[], Journal]


@pytest.fixture
async def journal(bus: Bus, root: str) -> MakeJournal:
    await bus.ensure_stream(journal_stream(root))
    return lambda: Journal(bus, root=root, runner="tests", times=TIMES)


def a_call(arguments: str = "{}") -> ToolCall:
    fields = {"tenant": "default", "request_id": "r", "round": 0, "index": 0, "call_id": "c", "name": "n"}
    return ToolCall.model_validate({**fields, "arguments": arguments, "deadline": time.time() + 30})


async def held(journal: Journal, *, idempotent: bool = False) -> Claim:
    claim = await journal.claim(a_call(), idempotent=idempotent)
    assert isinstance(claim, Claim)
    return claim


async def busy(journal: Journal, *, idempotent: bool = False) -> Busy:
    found = await journal.claim(a_call(), idempotent=idempotent)
    assert isinstance(found, Busy)
    return found


async def settled(journal: Journal, waiting: Busy) -> Claim | ToolResult | None:
    """Nobody stops it."""
    return await journal.settle(waiting, stopping=asyncio.get_running_loop().create_future())


async def entry(bus: Bus, root: str) -> ClaimEntry | ResultEntry:
    stored = await bus.kv_get(f"{root}_tools", a_call().key)
    assert stored is not None
    return read_entry(stored.value)


async def test_of_many_claims_at_once_one_is_granted(journal: MakeJournal) -> None:
    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(journal().claim(a_call(), idempotent=False)) for _ in range(30)]

    granted = [type(claim.result()).__name__ for claim in claims]
    assert sorted(granted) == ["Busy"] * 29 + ["Claim"]


async def test_result_is_for_everybody_who_asks_later(journal: MakeJournal) -> None:
    first = journal()
    claim = await held(first)
    waiting = await busy(journal())

    assert await first.store(claim, DONE) == DONE
    replayed = DONE.model_copy(update={"replayed": True})
    assert await journal().claim(a_call(), idempotent=False) == replayed
    assert await settled(journal(), waiting) == replayed


async def test_dead_runner_leaves_an_unknown_outcome_that_is_final(journal: MakeJournal) -> None:
    dead = journal()
    claim = await held(dead)
    verdict = await settled(journal(), await busy(journal()))

    assert isinstance(verdict, ToolResult)
    assert verdict.outcome == "unknown"
    assert await dead.store(claim, DONE) == verdict
    assert not await dead.renew(Claim(claim.call, claim.entry, claim.revision))


async def test_dead_runner_of_an_idempotent_call_is_replaced(journal: MakeJournal) -> None:
    dead, other = journal(), journal()
    claim = await held(dead, idempotent=True)
    taken = await settled(other, await busy(other, idempotent=True))

    assert isinstance(taken, Claim)
    assert not await dead.renew(claim)
    assert (await dead.store(claim, DONE)).outcome == "unknown"
    assert await other.store(taken, DONE) == DONE


@pytest.mark.parametrize(("by_the_dead", "by_us"), [(True, False), (False, True)])
async def test_call_is_run_again_only_if_both_say_that_it_may(
    journal: MakeJournal, by_the_dead: bool, by_us: bool
) -> None:
    await held(journal(), idempotent=by_the_dead)
    other = journal()

    verdict = await settled(other, await busy(other, idempotent=by_us))

    assert isinstance(verdict, ToolResult)
    assert verdict.outcome == "unknown"


async def test_renewed_claim_is_never_taken_over(journal: MakeJournal) -> None:
    runner, other = journal(), journal()
    claim = await held(runner)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(settled(other, await busy(other)))
        for _ in range(6):
            await asyncio.sleep(TIMES.renew_s)  # the passing of time is what this is about
            assert await runner.renew(claim)
        await runner.store(claim, DONE)

    assert waiting.result() == DONE.model_copy(update={"replayed": True})


async def test_late_renewal_does_not_write_over_a_result(journal: MakeJournal, bus: Bus, root: str) -> None:
    runner = journal()
    claim = await held(runner)
    await runner.store(claim, DONE)

    assert await runner.renew(claim)
    assert isinstance(await entry(bus, root), ResultEntry)


async def test_write_whose_answer_was_lost_does_not_cost_the_claim(journal: MakeJournal, bus: Bus, root: str) -> None:
    runner = journal()
    claim = await held(runner)
    value = claim.entry.model_dump_json().encode()
    await bus.kv_update(f"{root}_tools", claim.call.key, value, revision=claim.revision)

    assert await runner.renew(claim)
    assert await runner.store(claim, DONE) == DONE


async def test_released_claim_is_free(journal: MakeJournal) -> None:
    runner = journal()
    await runner.release(await held(runner))

    assert isinstance(await journal().claim(a_call(), idempotent=False), Claim)


async def test_bucket_that_was_lost_costs_nobody_a_result(journal: MakeJournal, bus: Bus, root: str) -> None:
    runner = journal()
    claim = await held(runner)
    await bus.delete_stream(f"KV_{root}_tools")
    await bus.ensure_stream(journal_stream(root))

    assert await runner.store(claim, DONE) == DONE
    assert isinstance(await entry(bus, root), ResultEntry)


async def test_without_a_journal_nothing_is_run(bus: Bus, root: str) -> None:
    nowhere = Journal(bus, root=root, runner="tests", times=TIMES)

    refused = await nowhere.claim(a_call(), idempotent=False)

    assert isinstance(refused, ToolResult)
    assert "was not run" in str(refused.output)


async def test_entry_that_can_not_be_read_is_an_unknown_outcome(journal: MakeJournal, bus: Bus, root: str) -> None:
    await bus.kv_put(f"{root}_tools", a_call().key, b"not json")

    found = await journal().claim(a_call(), idempotent=True)

    assert isinstance(found, ToolResult)
    assert found.outcome == "unknown"


async def test_entries_go_some_time_after_their_request(bus: Bus, root: str) -> None:
    await bus.ensure_stream(journal_stream(root))
    runner = Journal(bus, root=root, runner="tests", times=JournalTimes(keep_s=0.0))
    call = a_call().model_copy(update={"deadline": time.time() + 0.5})
    claim = await runner.claim(call, idempotent=False)
    assert isinstance(claim, Claim)
    await runner.store(claim, DONE)

    async with asyncio.timeout(10):
        while await bus.kv_get(f"{root}_tools", call.key) is not None:
            pass


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2, allow_nan=False)), max_size=20))
def test_lease_ends_only_when_a_revision_stood_still_for_all_of_it(looks: list[tuple[int, float]]) -> None:
    watch = LeaseWatch(lease_s=1.0)
    now, seen = 100.0, list[tuple[int, float]]()
    for revision, later in looks:
        now += later
        seen.append((revision, now))
        same = [time for index, (_, time) in enumerate(seen) if {found for found, _ in seen[index:]} == {revision}]
        assert watch.expired(revision, now=now) == (now - same[0] >= 1.0)


@given(st.text(), st.text(), st.text(), st.text())
def test_digest_tells_calls_apart(name: str, arguments: str, other_name: str, other_arguments: str) -> None:
    def digest(name: str, arguments: str) -> str:
        return call_digest(a_call().model_copy(update={"name": name, "arguments": arguments}))

    same = (name, arguments) == (other_name, other_arguments)
    assert (digest(name, arguments) == digest(other_name, other_arguments)) == same


async def test_call_survives_a_restart_of_the_server(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    go = asyncio.Event()
    runs = 0

    @tool
    async def long() -> str:
        nonlocal runs
        runs += 1
        await go.wait()
        return "done"

    subjects = Subjects("restart")
    async with (
        Bus.connect(server.url, name="tests") as bus,
        hosted(server.url, long, root="restart", times=JournalTimes(lease_s=5)) as running,
        tool_caller(bus, subjects, times=CallerTimes(silence_s=3)) as caller,
    ):
        calling = Calling(caller, subjects)
        async with asyncio.TaskGroup() as group:
            sent = group.create_task(calling("long"))
            await eventually(lambda: running.calls_in_hand == 1 and runs == 1)
            server.kill()
            server.start()
            go.set()

    assert (sent.result().output, runs) == ("done", 1)
