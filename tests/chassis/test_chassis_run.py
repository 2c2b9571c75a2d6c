"""The life of a service: real processes and real signals, with work in hand; and the same in this process."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import eventually
from tokenbus.bus import Bus, Message
from tokenbus_chassis.broker import ServiceBroker
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.run import Lifecycle, Parts, running_service
from tokenbus_chassis.settings import ServiceSettings
from tokenbus_chassis.topology import ensure_topology, topology
from tokenbus_chassis.worker import Worker

SERVICE = Path(__file__).with_name("asking_service.py")


class Stage:
    """Services as processes, and what they ask."""

    def __init__(self, bus: Bus, *, url: str, root: str, exits: AsyncExitStack) -> None:
        self.bus = bus
        self.url = url
        self.root = root
        self.asked: list[Message] = []
        self._exits = exits

    async def start(self, **environment: str) -> Process:
        """A service that is ready; killed at the end of the test if need be."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(f"\0{self.root}{len(self.asked)}{time.monotonic_ns()}")
            ready.setblocking(False)
            process = await self.launch(NOTIFY_SOCKET="@" + ready.getsockname()[1:].decode(), **environment)
            async with asyncio.timeout(10.0):
                assert await asyncio.get_running_loop().sock_recv(ready, 100) == b"READY=1"
        return process

    async def launch(self, **environment: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SERVICE),
            env={
                "PATH": os.environ.get("PATH", ""),
                "TOKENBUS_NATS_URL": self.url,
                "TOKENBUS_ROOT": self.root,
                "TOKENBUS_DRAIN_TIMEOUT_S": "10",
                **environment,
            },
            stderr=PIPE,
        )

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.communicate()

        self._exits.push_async_callback(end)
        return process

    async def put(self, data: bytes) -> None:
        await self.bus.publish_stored(f"{self.root}.requests.tenant.standard", data, retry_for_s=5.0)

    async def has_asked(self, times: int) -> None:
        await eventually(lambda: len(self.asked) >= times, timeout_s=8.0)

    async def answer(self, message: Message) -> None:
        await self.bus.publish(message.reply, b"")

    async def left(self) -> int:
        reply = await self.bus.request(f"$JS.API.STREAM.INFO.{self.root.upper()}_REQUESTS", b"", timeout_s=2.0)
        return json.loads(reply.data)["state"]["messages"]


@pytest.fixture
async def stage(bus: Bus, nats_url: str, root: str) -> AsyncGenerator[Stage]:
    async with AsyncExitStack() as exits:
        made = Stage(bus, url=nats_url, root=root, exits=exits)
        await bus.subscribe(f"{root}.ask", made.asked.append)
        await bus.flush()
        yield made


async def ended(process: Process) -> int:
    async with asyncio.timeout(8.0):
        return await process.wait()


def attempt(message: Message) -> str:
    return message.headers["Attempt"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_idle_service_at_once(stage: Stage, number: signal.Signals) -> None:
    process = await stage.start()
    started = time.monotonic()
    process.send_signal(number)
    assert await ended(process) == 0
    assert time.monotonic() - started < 2.0


async def test_work_in_hand_is_finished_and_nothing_more_is_taken(stage: Stage) -> None:
    process = await stage.start()
    await stage.put(b"in hand")
    await stage.has_asked(1)
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.returncode is None)
    await _stopped_pulling(stage)
    await stage.put(b"for another")
    await stage.answer(stage.asked[0])
    assert await ended(process) == 0
    assert [message.data for message in stage.asked] == [b"in hand"]
    assert await stage.left() == 1


async def _stopped_pulling(stage: Stage) -> None:
    """The server has no open pull request of the service any more."""
    subject = f"$JS.API.CONSUMER.INFO.{stage.root.upper()}_REQUESTS.router_standard"
    async with asyncio.timeout(5.0):
        while json.loads((await stage.bus.request(subject, b"", timeout_s=2.0)).data)["num_waiting"]:
            pass


async def test_work_not_finished_by_the_deadline_is_at_once_with_another(stage: Stage) -> None:
    first = await stage.start(TOKENBUS_DRAIN_TIMEOUT_S="0.2")
    await stage.put(b"endless")
    await stage.has_asked(1)
    second = await stage.start()
    started = time.monotonic()
    first.send_signal(signal.SIGTERM)
    await stage.has_asked(2)
    assert time.monotonic() - started < 2.0, "ack_wait is 15 s"
    assert attempt(stage.asked[1]) == "2"
    assert await ended(first) == 0
    await stage.answer(stage.asked[1])
    second.send_signal(signal.SIGTERM)
    assert await ended(second) == 0
    assert await stage.left() == 0


async def test_a_second_signal_hands_back_at_once(stage: Stage) -> None:
    first = await stage.start(TOKENBUS_DRAIN_TIMEOUT_S="60")
    await stage.put(b"endless")
    await stage.has_asked(1)
    await stage.start()
    first.send_signal(signal.SIGTERM)
    await _still_runs(first)
    first.send_signal(signal.SIGTERM)
    assert await ended(first) == 128 + signal.SIGTERM
    await stage.has_asked(2)
    assert attempt(stage.asked[1]) == "2"


async def _still_runs(process: Process) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await process.wait()


async def test_a_killed_service_leaves_its_work_to_another_after_ack_wait(stage: Stage) -> None:
    first = await stage.start(TOKENBUS_ACK_WAIT_S="1")
    await stage.put(b"")
    await stage.has_asked(1)
    await stage.start(TOKENBUS_ACK_WAIT_S="1")
    started = time.monotonic()
    first.kill()
    await stage.has_asked(2)
    assert time.monotonic() - started < 3.0
    assert attempt(stage.asked[1]) == "2"


async def test_a_dead_task_ends_the_service_loudly_without_its_text(stage: Stage) -> None:
    process = await stage.start()
    await stage.bus.publish(f"{stage.root}.die", b"a secret")
    async with asyncio.timeout(8.0):
        _, log = await process.communicate()
    assert process.returncode == 1
    lines = [json.loads(line) for line in log.splitlines()]
    death = next(line for line in lines if line["message"] == "the service died")
    assert (death["level"], death["service"]) == ("CRITICAL", "asking")
    assert death["error"].startswith("RuntimeError at asking_service.py:")
    assert b"secret" not in log


async def test_a_service_without_nats_says_which_it_looked_for(stage: Stage, unused_tcp_port: int) -> None:
    url = f"nats://ann:hidden@127.0.0.1:{unused_tcp_port}"
    process = await stage.launch(TOKENBUS_NATS_URL=url, TOKENBUS_NATS_CONNECT_TIMEOUT_S="0.2")
    async with asyncio.timeout(8.0):
        _, log = await process.communicate()
    assert process.returncode == 1
    assert f"nats://127.0.0.1:{unused_tcp_port}".encode() in log
    assert b"hidden" not in log


async def test_the_order_of_the_end(bus: Bus, nats_url: str, root: str) -> None:
    events: list[str] = []
    stored = topology(root)
    lifecycle = Lifecycle()
    release = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        events.append("work began")
        await release.wait()
        events.append(f"work ended while {lifecycle.state}")
        await delivery.ack()

    @asynccontextmanager
    async def open_parts(own: Bus) -> AsyncGenerator[Parts]:
        await ensure_topology(own, stored)
        worker = Worker(
            own,
            stream=stored.requests.name,
            consumers=[stored.request_consumer("standard").name],
            slots=1,
            handler=handler,
        )
        try:
            yield Parts(workers=[worker])
        finally:
            events.append(f"service closed, bus connected: {own.connected}")

    settings = ServiceSettings(nats_url=nats_url, root=root, drain_timeout_s=5.0)
    async with (
        asyncio.TaskGroup() as tasks,
        running_service("test", open_parts, settings=settings, lifecycle=lifecycle),
    ):
        assert lifecycle.state == "ready"
        await bus.publish_stored(f"{root}.requests.tenant.standard", b"")
        await eventually(lambda: events == ["work began"])

        async def release_when_draining() -> None:
            await eventually(lambda: lifecycle.state == "draining")
            release.set()

        tasks.create_task(release_when_draining())
    assert events == ["work began", "work ended while draining", "service closed, bus connected: True"]


@pytest.mark.parametrize("workers", [1, 3])
async def test_calls_that_were_received_are_answered_on_the_way_out(
    bus: Bus, nats_url: str, root: str, workers: int
) -> None:
    began = 0
    release = asyncio.Event()
    lifecycle = Lifecycle()

    @asynccontextmanager
    async def open_parts(own: Bus) -> AsyncGenerator[Parts]:
        broker = ServiceBroker(own)

        @broker.subscriber(f"{root}.call", max_workers=workers)
        async def answer(body: str) -> str:
            nonlocal began
            began += 1
            await release.wait()
            return body.upper()

        assert answer
        yield Parts(broker=broker)

    settings = ServiceSettings(nats_url=nats_url, root=root, drain_timeout_s=5.0)
    calls: list[asyncio.Task[Message]] = []
    async with (
        asyncio.TaskGroup() as tasks,
        running_service("test", open_parts, settings=settings, lifecycle=lifecycle),
    ):
        calls += [
            tasks.create_task(bus.request(f"{root}.call", b"abc", timeout_s=5.0), name=str(number))
            for number in range(12)
        ]
        await eventually(lambda: began == workers)

        async def release_when_draining() -> None:
            await eventually(lambda: lifecycle.state == "draining")
            release.set()

        tasks.create_task(release_when_draining())
    assert [call.result().data for call in calls] == [b"ABC"] * 12


async def test_a_failing_call_is_logged_without_its_text(
    bus: Bus, nats_url: str, root: str, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def open_parts(own: Bus) -> AsyncGenerator[Parts]:
        broker = ServiceBroker(own)

        @broker.subscriber(f"{root}.call")
        async def fail(body: str) -> str:
            raise ValueError(f"secret {body}")

        assert fail
        yield Parts(broker=broker)

    settings = ServiceSettings(nats_url=nats_url, root=root, drain_timeout_s=1.0)
    async with running_service("test", open_parts, settings=settings):
        await bus.publish(f"{root}.call", b"abc")
        await eventually(lambda: "a call failed" in caplog.messages)
    assert "secret" not in caplog.text
    record = next(record for record in caplog.records if record.message == "a call failed")
    assert vars(record)["error"].startswith("ValueError at test_chassis_run.py")


async def test_the_supervisor_is_told(nats_url: str, root: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def open_parts(_: Bus) -> AsyncGenerator[Parts]:
        yield Parts()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(1.0)
        settings = ServiceSettings(nats_url=nats_url, root=root, notify_socket=str(tmp_path / "notify"))
        async with running_service("test", open_parts, settings=settings):
            assert supervisor.recv(100) == b"READY=1"
        assert supervisor.recv(100) == b"STOPPING=1"


async def test_health_follows_the_life_of_the_service(nats_url: str, root: str, unused_tcp_port: int) -> None:
    @asynccontextmanager
    async def open_parts(_: Bus) -> AsyncGenerator[Parts]:
        assert await get(unused_tcp_port, "/healthz") == (200, {"alive": True})
        assert await get(unused_tcp_port, "/readyz") == (503, {"ready": False, "reason": "starting"})
        yield Parts()
        assert await get(unused_tcp_port, "/readyz") == (503, {"ready": False, "reason": "draining"})

    settings = ServiceSettings(nats_url=nats_url, root=root, health_host="127.0.0.1", health_port=unused_tcp_port)
    async with running_service("test", open_parts, settings=settings):
        assert await get(unused_tcp_port, "/readyz") == (200, {"ready": True})


async def get(port: int, path: str) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)
