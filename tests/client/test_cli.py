"""The `tokenbus` command as a process of its own, without a terminal, against real NATS."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.client.answerer import Answerer, ending, numbered, whole_answer
from tests.client.command_line import Cli, finished
from tests.conftest import StartNatsServer, eventually
from tokenbus_schemas import RequestHeaders, RequestId
from tokenbus_schemas.control import CancelStatus

WATCHED = RequestHeaders(RequestId("watched"))


async def test_chat_prints_the_answer(cli: Cli, answerer: Answerer) -> None:
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(answerer.answer_next(["Grüß ", "dich"]))
        outcome = await cli.run("chat", "-m", "groq/x", "Hallo", "--instructions", "Be kind")
    assert outcome == (0, "Grüß dich\n", "")
    body = answering.result()
    assert (body["model"], body["instructions"]) == ("groq/x", "Be kind")
    assert body["input"] == [{"type": "message", "role": "user", "content": "Hallo"}]


@pytest.mark.parametrize("arguments", [["-"], []])
async def test_chat_reads_its_text_from_stdin(cli: Cli, answerer: Answerer, arguments: list[str]) -> None:
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(answerer.answer_next(["ok"]))
        outcome = await cli.run("chat", *arguments, stdin="Größe\n".encode())
    assert outcome.stdout == "ok\n"
    assert answering.result()["input"] == [{"type": "message", "role": "user", "content": "Größe\n"}]


async def test_chat_writes_the_text_while_it_comes(cli: Cli, answerer: Answerer) -> None:
    async with cli.started("chat", "Hi") as process:
        request = (await answerer.requests.get()).headers
        lines = whole_answer(request, ["a", "b"])
        await answerer.publish(request, lines[:3])
        assert process.stdout is not None
        assert await process.stdout.read(1) == b"a"
        await answerer.publish(request, lines[3:])
        assert await finished(process) == (0, "b\n", "")


async def test_chat_with_json_prints_the_final_response(cli: Cli, answerer: Answerer) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answerer.answer_next(["ok"]))
        outcome = await cli.run("chat", "--json", "Hi")
    assert json.loads(outcome.stdout)["status"] == "completed"


async def test_a_failed_answer_is_one_line_on_stderr(cli: Cli, answerer: Answerer) -> None:
    error = {"code": "invalid_prompt", "type": "model_not_found", "message": "model: is unknown", "param": "model"}
    async with cli.started("chat", "Hi") as process:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status="failed", error=error)]))
        assert await finished(process) == (1, "", "tokenbus: model_not_found: model: is unknown\n")


@pytest.mark.parametrize(
    ("status", "code", "note"),
    [
        ("incomplete", 0, "tokenbus: the answer is incomplete: unknown\n"),
        ("cancelled", 1, "tokenbus: the answer was cancelled\n"),
    ],
)
async def test_an_answer_that_is_not_whole_says_so(
    cli: Cli, answerer: Answerer, status: str, code: int, note: str
) -> None:
    async with cli.started("chat", "Hi") as process:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status=status, text="half")]))
        assert await finished(process) == (code, "half\n", note)


async def test_ctrl_c_cancels_the_request(cli: Cli, answerer: Answerer) -> None:
    async with cli.started("chat", "Hi", "--request-id", "interrupted") as process:
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole_answer(request, ["a", "b"])[:3])
        assert process.stdout is not None
        await process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert await finished(process) == (130, "\n", "")
    assert answerer.cancels.get_nowait() == "interrupted"


async def test_a_reader_that_goes_away_cancels_the_request(cli: Cli, answerer: Answerer) -> None:
    reading, writing = os.pipe()
    async with cli.started("chat", "Hi", stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        await answerer.answer_next(["a", "b"])
        assert await finished(process) == (141, "", "")


async def test_watch_shows_the_text_of_a_running_request(cli: Cli, answerer: Answerer) -> None:
    lines = whole_answer(WATCHED, ["a", "b"])
    answerer.store(WATCHED, lines[:3])
    async with cli.started("watch", "watched") as process:
        await eventually(lambda: bool(answerer.replays))
        await answerer.publish(WATCHED, lines[3:])
        assert await finished(process) == (0, "ab\n", "")
    assert answerer.cancels.empty()


async def test_watch_prints_events_after_a_sequence_number(cli: Cli, answerer: Answerer) -> None:
    lines = whole_answer(WATCHED, ["a", "b"])
    answerer.store(WATCHED, lines)
    outcome = await cli.run("watch", "watched", "--events", "--after", "2")
    assert outcome == (0, "".join([line.raw.decode() + "\n" for line in lines[3:]]), "")


async def test_watch_can_begin_with_what_there_is_in_one_piece(cli: Cli, answerer: Answerer) -> None:
    answerer.store(WATCHED, whole_answer(WATCHED, ["a", "b"]))
    assert await cli.run("watch", "watched", "--snapshot") == (0, "ab\n", "")
    assert [question.mode for question in answerer.replays] == ["snapshot"]


async def test_watch_of_an_unknown_request_exits_5(cli: Cli, answerer: Answerer) -> None:
    outcome = await cli.run("watch", "nobody")
    assert (outcome.code, outcome.stderr[:40]) == (5, "tokenbus: request nobody is not known; c")


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ("cancelled", 0, "r1 is cancelled\n"),
        ("cancelling", 0, "r1 is being cancelled\n"),
        ("ended", 0, "r1 had ended before\n"),
        ("unknown", 5, "r1 is not known; if it still arrives, it is cancelled\n"),
    ],
)
async def test_cancel_says_what_became_of_the_request(
    cli: Cli, answerer: Answerer, status: CancelStatus, code: int, text: str
) -> None:
    answerer.cancel_status = status
    assert await cli.run("cancel", "r1") == (code, text, "")


async def test_cancel_with_json(cli: Cli, answerer: Answerer) -> None:
    outcome = await cli.run("cancel", "r1", "--json")
    assert json.loads(outcome.stdout) == {"request_id": "r1", "status": "cancelling"}


async def test_models_are_listed(cli: Cli, answerer: Answerer) -> None:
    assert await cli.run("models") == (0, "openai/gpt-4.1-mini  openai, azure\n", "")
    outcome = await cli.run("models", "--json")
    assert json.loads(outcome.stdout) == [{"id": "openai/gpt-4.1-mini", "providers": ["openai", "azure"]}]


async def test_without_a_router_the_exit_code_is_3(cli: Cli) -> None:
    outcome = await cli.run("chat", "Hi")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert outcome.stderr.endswith("is the router running, with this root?\n")
    assert outcome.stderr.count("\n") == 1


async def test_a_refused_login_is_one_line_without_the_password(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config="authorization: {user: a, password: right}")
    outcome = await Cli(server.url.replace("//", "//a:wrong@"), root="x").run("models")
    assert (outcome.code, outcome.stderr.count("\n")) == (4, 1)
    assert "wrong" not in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["models", "--tenant", "a.b"], "tenant 'a.b' must be"),
        (["models", "--server", "http://x"], "'http://x' is no NATS address"),
        (["watch", "a.b"], "request_id: request id 'a.b' must be"),
        (["chat", "Hi", "--timeout", "0"], "timeout_s: must be more than 0"),
        (["chat", "Hi", "--class", "urgent"], "invalid choice: 'urgent'"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
    ],
)
async def test_wrong_usage_exits_2_and_names_the_argument(
    cli: Cli, answerer: Answerer, arguments: list[str], problem: str
) -> None:
    outcome = await cli.run(*arguments)
    assert outcome.code == 2
    assert problem in outcome.stderr
    assert "Traceback" not in outcome.stderr


async def test_stdin_that_is_no_text_is_refused(cli: Cli) -> None:
    outcome = await cli.run("chat", "-", stdin=b"a\xff")
    assert (outcome.code, outcome.stderr) == (2, "tokenbus: stdin: is not UTF-8 text (byte 1); convert it first\n")


async def test_another_distribution_adds_a_command(cli: Cli, tmp_path: Path) -> None:
    package = tmp_path / "extra-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[tokenbus.commands]\nhello = extra_commands:hello\nwave = extra_commands:wave\nbroken = no_such_module:x\n"
    )
    (tmp_path / "extra_commands.py").write_text(
        "async def greet(args):\n    print('hello')\n    return 7\n"
        "def hello(subcommands):\n    command(subcommands, 'hello', greet)\n"
        "def wave(subcommands):\n    command(subcommands, 'wave', lambda args: 8)\n"
        "def command(subcommands, name, run):\n"
        "    parser = subcommands.add_parser(name, help=name)\n"
        "    parser.add_argument('--root')\n"
        "    parser.set_defaults(run=run)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    assert await cli.run("hello", environment=environment) == (7, "hello\n", "")
    assert await cli.run("wave", environment=environment) == (8, "", "")
    broken = await cli.run("broken", "--any", environment=environment)
    assert broken.code == 1
    assert broken.stderr.startswith("tokenbus: the command 'broken' can not be loaded: ModuleNotFoundError")


async def test_help_lists_the_exit_codes(cli: Cli) -> None:
    outcome = await cli.run("--help")
    assert "130  interrupted with Ctrl-C" in outcome.stdout
