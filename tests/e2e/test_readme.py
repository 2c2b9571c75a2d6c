"""Every command of the README is run as it stands there, against a running Tokenbus."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import RunningTokenbus, without_provider_keys
from tests.valid_stream import check_stream
from tokenbus import Client
from tokenbus.bus import Bus, Message
from tokenbus.tool_discovery import discover
from tokenbus_schemas import EventLine, Subjects, split_message

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEFAULT_URL = "nats://127.0.0.1:4222"
GATEWAY_URL = "http://127.0.0.1:8080/v1"
UP = ".venv/bin/tokenbus up"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
SHELL = [text.strip() for kind, text in BLOCKS if kind == "sh"]


def line_with(start: str) -> str:
    return next(line for line in SHELL if line.startswith(start))


NATS_PUB = line_with("nats pub")
CURL = line_with("curl")
INFERENCE_URL = line_with("export LIVEKIT_INFERENCE_URL=").partition("=")[2]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
TOOL = next(program for program in PYTHON if "tokenbus_toolkit" in program)
(JSON,) = [text for kind, text in BLOCKS if kind == "json"]


def imported(program: str) -> str:
    """Names an example by what it imports."""
    return "+".join(re.findall(r"^(?:import|from) (\S+)", program, flags=re.MULTILINE)[-2:])


def here(running: RunningTokenbus, text: str) -> str:
    """What stands in the README, for the addresses of this run."""
    return text.replace(DEFAULT_URL, running.nats_url).replace(GATEWAY_URL, running.gateway_url)


def environment(running: RunningTokenbus) -> dict[str, str]:
    livekit = {"LIVEKIT_INFERENCE_URL": here(running, INFERENCE_URL)}
    livekit |= {"LIVEKIT_API_KEY": "APIreadme", "LIVEKIT_API_SECRET": "a secret of 32 characters or more"}
    return {
        **without_provider_keys(),
        **livekit,
        "TOKENBUS_NATS_URL": running.nats_url,
        "NATS_URL": running.nats_url,
    }


def output_of(running: RunningTokenbus, *command: str) -> str:
    done = subprocess.run(
        command,
        env=environment(running),
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def answer_to(running: RunningTokenbus, payload: bytes, *, subject: str, request_id: str) -> list[EventLine]:
    """Publishes as any NATS client would, and reads the events' subject until the end."""
    lines: list[EventLine] = []
    ended = asyncio.Event()

    def on_message(message: Message) -> None:
        lines.extend(split_message(message.data))
        if lines[-1].is_terminal:
            ended.set()

    async with Bus.connect(running.nats_url, name="readme") as bus, asyncio.timeout(20):
        await bus.subscribe(f"tokenbus.events.default._.{request_id}.*", on_message)
        await bus.flush()
        await bus.publish(subject, payload, headers={"Tokenbus-Request-Id": request_id})
        await ended.wait()
    return lines


def test_the_readme_has_the_two_commands_and_make_knows_them() -> None:
    makefile = (ROOT / "Makefile").read_text()

    for command in ("make demo", "make test"):
        assert f"    {command} " in README
        assert f"\n{command.removeprefix('make ')}: " in makefile


@pytest.mark.parametrize("command", [line for line in SHELL if line.startswith(".venv/bin/tokenbus") and line != UP])
def test_a_tokenbus_command_of_the_readme_runs(running: RunningTokenbus, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert output_of(running, str(Path(sys.executable).with_name(Path(program).name)), *arguments).strip()


def test_tokenbus_up_of_the_readme_is_what_runs_here(running: RunningTokenbus) -> None:
    assert UP in SHELL
    assert "SIMULATOR" in running.said


@pytest.mark.parametrize(
    "program", [program for program in PYTHON if program != TOOL], ids=lambda program: imported(str(program))
)
def test_a_python_example_prints_an_answer(running: RunningTokenbus, program: str) -> None:
    assert "Say hello." in output_of(running, sys.executable, "-c", here(running, program))


def test_there_is_an_example_for_each_way_in() -> None:
    ways = ("tokenbus.connect", "OpenAI(", 'AgentSession(llm="', "openai.responses.LLM(", "tokenbus_livekit.LLM(")
    assert [way for way in ways if not any(way in program for program in PYTHON)] == []
    assert INFERENCE_URL == GATEWAY_URL


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_streams_an_answer(running: RunningTokenbus) -> None:
    said = output_of(running, *shlex.split(here(running, CURL)))
    assert said.startswith("event: response.created\n")
    assert said.endswith("data: [DONE]\n\n")


async def test_the_tool_of_the_readme_is_run_for_a_request_that_names_it(
    running: RunningTokenbus, client: Client
) -> None:
    assert DEFAULT_URL in TOOL
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", here(running, TOOL))
    try:
        async with Bus.connect(running.nats_url, name="readme") as bus, asyncio.timeout(30):
            while not any(tool.description.name == "get_price" for tool in await discover(bus, Subjects())):
                pass
        named = [{"type": "function", "name": "get_price"}]
        async with client.stream(model="openai/sim@call:get_price", input="What is tea?", tools=named) as stream:
            response = await stream.response()
    finally:
        process.terminate()
        code = await process.wait()

    assert [item["output"] for item in response.output if item["type"] == "function_call_output"] == ['{"euros":4.2}']
    assert code == 0


async def test_the_raw_json_is_answered(running: RunningTokenbus) -> None:
    request_id = f"raw-{os.urandom(6).hex()}"
    lines = await answer_to(running, JSON.encode(), subject="tokenbus.requests.default.standard", request_id=request_id)

    events = check_stream(lines)
    assert events[-1]["type"] == "response.completed"


async def test_the_bytes_of_the_nats_line_are_answered(running: RunningTokenbus) -> None:
    _, _, subject, payload, flag, header = shlex.split(NATS_PUB)
    name, _, request_id = header.partition(":")
    assert (flag, name) == ("-H", "Tokenbus-Request-Id")
    assert json.loads(payload)["model"] == "openai/gpt-4.1-mini"

    check_stream(await answer_to(running, payload.encode(), subject=subject, request_id=f"{request_id}-bytes"))


@pytest.mark.skipif(
    shutil.which("nats") is None, reason="the `nats` command line is not installed (github.com/nats-io/natscli)"
)
async def test_the_nats_lines_themselves_work(running: RunningTokenbus) -> None:
    sub = next(line for line in SHELL if line.startswith("nats sub"))
    listening = await asyncio.create_subprocess_exec(
        *shlex.split(sub), env=environment(running), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert listening.stdout is not None
    try:
        async with asyncio.timeout(20):
            while b"Subscribing" not in await listening.stdout.readline():
                pass
            done = await asyncio.create_subprocess_exec(*shlex.split(NATS_PUB), env=environment(running))
            assert await done.wait() == 0
            while b"response.completed" not in await listening.stdout.readline():
                pass
    finally:
        listening.terminate()
        await listening.wait()
