"""Requests whose time is up in a queue: the router ends them, whichever router that is, and nothing of them stays."""

import asyncio
import time

from tests.conftest import StartNatsServer, eventually
from tests.router.conftest import CHANNEL, GOOD, POOL, TENANT, Desk, gone, open_desk, running_router, soon
from tests.router.test_router_calls import admit, executor_that_runs, line, store_end
from tokenbus.bus import Bus, StoredMessage
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.unanswered import Asked
from tokenbus_schemas import Pool, RequestId, WorkOrder
from tokenbus_schemas.events import COMPLETED
from tokenbus_schemas.headers import TIMEOUT

SECOND = {TIMEOUT: "1"}


async def note(desk: Desk, request_id: str) -> StoredMessage | None:
    subject = desk.subjects.queued(TENANT, RequestId(request_id))
    return await desk.bus.last_message_at_leader(desk.stored.results.name, subject)


async def leaves_nothing(desk: Desk, request_id: str) -> None:
    """Returns when neither queue nor note holds anything."""
    await gone(desk.work)
    await gone(desk.waiting_request)
    await gone(lambda: note(desk, request_id))


async def test_a_queued_request_ends_when_its_time_is_up_though_no_executor_runs(desk: Desk) -> None:
    sent = time.time()
    await desk.send(GOOD, "r1", headers=SECOND)
    await soon(desk.work)
    error = await desk.error("r1")
    assert error["type"] == "deadline_exceeded"
    assert "the 1 s this request had" in error["message"]
    assert time.time() - sent >= 1
    await leaves_nothing(desk, "r1")
    assert (await desk.replay("r1"))["state"] == "ended"


async def test_executors_that_run_other_requests_do_not_keep_it_alive(desk: Desk) -> None:
    async with executor_that_runs(desk, "another"):
        await desk.send(GOOD, "r1", headers=SECOND)
        assert (await desk.error("r1"))["type"] == "deadline_exceeded"


async def test_an_executor_that_runs_the_request_ends_it_by_itself(desk: Desk) -> None:
    async with executor_that_runs(desk, "r1") as heard:
        await desk.send(GOOD, "r1", headers=SECOND)
        await eventually(lambda: heard == ["r1"], timeout_s=10)
        assert await desk.result("r1") is None
        await store_end(desk, "r1", line(3, event_type=COMPLETED))
    await gone(lambda: note(desk, "r1"))
    assert [each for each in desk.live["r1"] if each.is_terminal] == []


async def test_the_end_of_a_request_takes_its_note_away(desk: Desk) -> None:
    await admit(desk, "r1")
    await soon(lambda: note(desk, "r1"))
    await store_end(desk, "r1", line(3, event_type=COMPLETED))
    assert await note(desk, "r1") is None


async def test_a_fence_leaves_the_note(desk: Desk) -> None:
    await admit(desk, "r1")
    writer = TerminalWriter(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)
    await writer.fence(TENANT, RequestId("r1"), attempt=2)
    assert await note(desk, "r1") is not None


async def test_what_ran_out_while_no_router_ran_is_ended_by_the_next_one(bus: Bus, root: str, nats_url: str) -> None:
    async with running_router(nats_url, root):
        desk = await open_desk(bus, root)
        await desk.send(GOOD, "handed-on", headers=SECOND)
        await soon(desk.work)
        await gone(desk.waiting_request)
    await desk.send(GOOD, "waiting", headers=SECOND)
    due = desk.subjects.due(TENANT, RequestId("handed-on"))
    await soon(lambda: bus.last_message_at_leader(desk.stored.results.name, due))
    assert await desk.result("handed-on") is None
    async with running_router(nats_url, root):
        assert (await desk.error("handed-on"))["type"] == "deadline_exceeded"
        assert (await desk.error("waiting"))["type"] == "deadline_exceeded"
        await leaves_nothing(desk, "handed-on")


async def test_deadlines_survive_a_kill_of_the_server(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    # The router's last word about the request may die with the server: then it is delivered again after ack_wait.
    async with running_router(server.url, "bus", ack_wait_s=1.0), Bus.connect(server.url, name="desk") as bus:
        desk = await open_desk(bus, "bus")
        await desk.send(GOOD, "r1", headers={TIMEOUT: "2"})
        await soon(lambda: note(desk, "r1"))
        server.kill()
        server.start()
        await eventually(lambda: any(event.is_terminal for event in desk.live["r1"]), timeout_s=20)
        assert (await desk.error("r1"))["type"] == "deadline_exceeded"
        await leaves_nothing(desk, "r1")


async def test_two_routers_end_it_once(desk: Desk, nats_url: str, root: str) -> None:
    async with running_router(nats_url, root):
        for number in range(20):
            await desk.send(GOOD, f"r{number}", headers=SECOND)
        for number in range(20):
            assert (await desk.error(f"r{number}"))["type"] == "deadline_exceeded"
    for number in range(20):
        assert sum(event.is_terminal for event in desk.live[f"r{number}"]) == 1


async def test_a_cancelled_request_is_taken_out_of_its_queue(desk: Desk) -> None:
    await admit(desk, "stays")
    await admit_second(desk, "r1")
    assert await desk.cancel("r1") == {"status": "cancelled"}
    left = await soon(desk.work)
    assert WorkOrder.model_validate_json(left.data).request_id == "stays"
    assert await note(desk, "r1") is None


async def test_work_that_only_has_the_number_of_a_cancelled_request_stays(desk: Desk) -> None:
    """As after a loss of WORK alone: numbers begin anew."""
    await admit(desk, "stays")
    work = await soon(desk.work)
    asked = Asked(TENANT, RequestId("r1"), CHANNEL, "lab/one", time.time())
    notes = QueueNotes(desk.bus, subjects=desk.subjects, stream=desk.stored.results.name)
    await notes.note(asked, deadline=time.time() + 60, work_sequence=work.sequence)
    assert await desk.cancel("r1") == {"status": "cancelled"}
    assert await desk.work() == work


async def test_a_request_that_was_cancelled_before_it_came_ends_without_an_executor(desk: Desk) -> None:
    assert await desk.cancel("r1") == {"status": "unknown"}
    assert await desk.cancel("r1") == {"status": "unknown"}
    assert (await desk.replay("r1"))["state"] == "unknown"
    await desk.send(GOOD, "r1")
    events = await desk.ended("r1")
    assert (events[-1]["type"], events[-1]["response"]["status"]) == ("response.incomplete", "cancelled")
    await leaves_nothing(desk, "r1")
    assert await desk.cancel("r1") == {"status": "ended"}


async def test_a_refused_request_that_was_cancelled_before_it_came_is_still_refused(desk: Desk) -> None:
    assert await desk.cancel("r1") == {"status": "unknown"}
    await desk.send(b"junk", "r1")
    assert (await desk.error("r1"))["type"] == "invalid_json"
    await leaves_nothing(desk, "r1")


async def test_cancels_that_race_the_arrival_end_it_once(desk: Desk) -> None:
    names = [f"r{number}" for number in range(30)]

    async def send_and_cancel(name: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.send(GOOD, name))
            group.create_task(desk.cancel(name))

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(send_and_cancel(name))
    for name in names:
        events = await desk.ended(name)
        assert events[-1]["response"]["status"] == "cancelled"
    await leaves_nothing(desk, "r0")


async def test_a_request_that_has_ended_is_not_run_again_when_the_server_delivers_it_again(
    bus: Bus, root: str, nats_url: str
) -> None:
    async with running_router(nats_url, root):
        desk = await open_desk(bus, root)
        await admit(desk, "r1")
        await store_end(desk, "r1", line(3, event_type=COMPLETED))
        work = await soon(desk.work)
        await bus.delete_message(desk.stored.work.name, work.sequence)
    # Its message in REQUESTS, as it is after a kill of the server that had it acknowledged; and no message id is known.
    await bus.delete_stream(desk.stored.work.name)
    await desk.send(GOOD, "r1")
    async with running_router(nats_url, root):
        await gone(desk.waiting_request)
        assert await desk.work() is None


async def test_a_request_that_is_queued_is_not_queued_again_when_it_is_delivered_again(
    bus: Bus, root: str, nats_url: str
) -> None:
    async with running_router(nats_url, root):
        desk = await open_desk(bus, root)
        await admit(desk, "r1")
        work = await soon(desk.work)
    await desk.send(GOOD, "r1")
    async with running_router(nats_url, root):
        await gone(desk.waiting_request)
    page = await bus.read_stored(desk.stored.work.name, desk.subjects.work(Pool(POOL), "standard", TENANT))
    assert page.messages == [work]


async def admit_second(desk: Desk, request_id: str) -> None:
    """As `admit`, where other work is queued already."""
    await desk.send(GOOD, request_id)
    await soon(lambda: note(desk, request_id))
