"""`tokenbus demo` and `tokenbus up` as a newcomer meets them: in a fresh folder, without and with a key."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

import tokenbus
from tokenbus_local.nats_server import nats_server
from tokenbus_simulator import Simulator

TOKENBUS = str(Path(sys.executable).with_name("tokenbus"))


def environment(**variables: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    return {**plain, **variables}


async def started(folder: Path, *arguments: str, **variables: str) -> Process:
    return await asyncio.create_subprocess_exec(
        TOKENBUS, *arguments, cwd=folder, env=environment(**variables), stdout=PIPE, stderr=PIPE
    )


async def line_with(process: Process, text: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
    raise AssertionError(f"{text!r} was never said")


async def finished(process: Process) -> tuple[int | None, str]:
    async with asyncio.timeout(30):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_demo_shows_its_scenes_and_says_that_they_are_simulated(tmp_path: Path) -> None:
    process = await started(tmp_path, "demo")
    async with asyncio.timeout(50):
        output, errors = await process.communicate()
    said = output.decode()

    assert process.returncode == 0, errors.decode()
    assert "SIMULATOR" in said
    assert "first token after" in said
    assert "all three the same: yes" in said
    assert "with status cancelled" in said
    shown = [line.split(maxsplit=2)[1:] for line in said.partition("4. A tool call")[2].splitlines() if "  " in line]
    told = [" ".join(words) for words in shown]
    for step in (
        "response.output_item.added function_call get_stock",
        'response.function_call_arguments.done {"article":"tea"}',
        "tokenbus:tool.progress asking the warehouse",
        'response.output_item.done function_call_output {"article":"tea","pieces":7}',
        "response.completed",
    ):
        assert step in told


async def test_the_demo_leaves_nothing_behind_when_it_is_terminated(tmp_path: Path) -> None:
    process = await started(tmp_path, "demo")
    await line_with(process, "SIMULATOR")
    children = children_of(process.pid)
    assert len(children) >= 4
    process.send_signal(signal.SIGTERM)
    code, errors = await finished(process)

    assert code == 130, errors
    assert not [child for child in children if alive(child)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_up_ends_at_once_at_a_second_signal_and_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await started(tmp_path, "up", "--port", "-1", "--gateway-port", "-1", "--script", "ttft=5;rate=2")
    url = (await line_with(process, "is up at")).split()[-1]
    await line_with(process, "Try:")
    children = children_of(process.pid)
    assert len(children) >= 4
    async with tokenbus.connect(url) as client:
        async with client.stream(model="openai/sim@tokens:200", input="Hello.", on_exit="continue") as stream:
            await anext(stream)  # so that draining takes longer than this test may
        process.send_signal(number)
        await line_with(process, "draining")
        process.send_signal(number)
        code, errors = await finished(process)

    assert code == 130, errors
    assert "Traceback" not in errors
    assert not [child for child in children if alive(child)]


async def test_up_with_a_key_talks_to_the_provider_at_its_base_url(tmp_path: Path) -> None:
    async with Simulator() as upstream:
        (tmp_path / ".env").write_text(f"OPENAI_API_KEY=sk-from-dotenv\nOPENAI_BASE_URL={upstream.base_url}\n")
        process = await started(tmp_path, "up", "--port", "-1", "--gateway-port", "-1")
        try:
            url = (await line_with(process, "is up at")).split()[-1]
            assert "OpenAI" in await line_with(process, "Answers come from")
            chat = await started(tmp_path, "chat", "-m", "openai/gpt-4.1-mini", "Hello.", TOKENBUS_NATS_URL=url)
            assert await finished(chat) == (0, "")
            exchange = await upstream.record.wait_for(lambda one: one.path == "/v1/responses")
        finally:
            process.send_signal(signal.SIGINT)
            code, errors = await finished(process)

    assert exchange.model == "gpt-4.1-mini"
    assert code == 0, errors
    assert "sk-from-dotenv" not in errors


async def test_up_where_the_gateways_port_is_taken_says_which_service_could_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = await started(tmp_path, "up", "--port", "-1", "--gateway-port", port)
        code, errors = await finished(process)

    assert code == 1
    assert "address already in use" in errors.lower()
    assert errors.strip().splitlines()[-1] == "tokenbus: the gateway ended with exit code 1; its log says why"


async def test_up_on_a_taken_port_fails_in_plain_words(tmp_path: Path, nats_url: str) -> None:
    process = await started(tmp_path, "up", "--port", nats_url.rpartition(":")[2])
    code, errors = await finished(process)

    assert code == 1
    assert "nats-server did not start" in errors
    assert "address already in use" in errors
    assert "Traceback" not in errors


async def test_up_keeps_off_a_store_that_another_server_uses(tmp_path: Path) -> None:
    arguments = ("up", "--port", "-1", "--gateway-port", "-1", "--store", "shared")
    async with nats_server(store=tmp_path / "shared"):
        code, errors = await finished(await started(tmp_path, *arguments))

    assert code == 1
    assert errors == "tokenbus: store: another nats-server uses shared; stop that one, or name another folder\n"


async def test_up_names_a_store_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, errors = await finished(await started(tmp_path, "up", "--port", "-1", "--store", "file"))

    assert code == 1
    assert errors == "tokenbus: store: file can not be used: File exists; name another folder\n"


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--port=65536", "argument --port: 65536 is no port: 1 to 65535, or -1 for a free one"),
        ("--gateway-port=0", "argument --gateway-port: 0 is no port: 1 to 65535, or -1 for a free one"),
        ("--executors=0", "argument --executors: 0 is too few: at least 1"),
    ],
)
async def test_up_refuses_impossible_numbers(tmp_path: Path, option: str, problem: str) -> None:
    code, errors = await finished(await started(tmp_path, "up", option))

    assert code == 2
    assert errors.endswith(f"{problem}\n")


async def test_a_demo_without_answers_ends_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
    code, errors = await finished(await started(tmp_path, "demo", OPENAI_API_KEY="sk-none", OPENAI_BASE_URL=url))

    assert code == 1
    assert errors.splitlines()[-1].startswith("tokenbus: upstream_unavailable: ")
    assert "Traceback" not in errors


async def test_a_demo_that_nobody_reads_ends_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        TOKENBUS, "demo", cwd=tmp_path, env=environment(), stdout=writing, stderr=PIPE
    )
    os.close(writing)
    code, errors = await finished(process)

    assert code == 141
    assert "Traceback" not in errors


async def test_up_names_the_service_that_died(tmp_path: Path) -> None:
    process = await started(tmp_path, "up", "--port", "-1", "--gateway-port", "-1")
    await line_with(process, "Try:")
    router = next(child for child in children_of(process.pid) if b"tokenbus_router" in command_of(child))
    os.kill(router, signal.SIGKILL)
    code, errors = await finished(process)

    assert code == 1
    assert errors.splitlines()[-1] == "tokenbus: the router ended with exit code -9; its log says why"
