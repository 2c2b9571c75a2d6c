"""The `tokenbus` command where its standard streams are closed, full, in a poor encoding, or never end."""

import array
import asyncio
import fcntl
import signal
import termios
from asyncio.subprocess import PIPE

import pytest

from tests.client.answerer import Answerer
from tests.client.command_line import TOKENBUS, Cli, Outcome, finished
from tests.conftest import eventually


async def in_shell(line: str) -> Outcome:
    """Runs `line`, in which $0 is the command."""
    process = await asyncio.create_subprocess_exec("sh", "-c", line, TOKENBUS, stdout=PIPE, stderr=PIPE)
    return await finished(process)


async def test_characters_that_the_output_has_not_are_written_as_escapes(cli: Cli, answerer: Answerer) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answerer.answer_next(["Grüß dich 🎉"]))
        outcome = await cli.run("chat", "Hi", environment={"PYTHONIOENCODING": "ascii"})
    assert outcome == (0, "Gr\\xfc\\xdf dich \\U0001f389\n", "")


@pytest.mark.parametrize("closed", ["<&-", "</dev/null"])
async def test_a_question_that_is_empty_is_wrong_usage(closed: str) -> None:
    assert await in_shell(f'"$0" chat {closed}') == (2, "", "tokenbus: text: is empty; write what to ask\n")


async def test_a_closed_output_harms_nothing() -> None:
    assert await in_shell('"$0" config schema >&-') == (0, "", "")


async def test_a_full_disk_under_the_output_is_one_line() -> None:
    outcome = await in_shell('"$0" config schema >/dev/full')
    assert outcome == (1, "", "tokenbus: [Errno 28] No space left on device\n")


async def test_ctrl_c_ends_a_command_that_reads_stdin(cli: Cli) -> None:
    async with cli.started("chat", "-", stdin=PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"half a question")
        pipe = process.stdin.get_extra_info("pipe")
        unread = array.array("i", [0])

        def was_read() -> bool:
            fcntl.ioctl(pipe, termios.FIONREAD, unread)
            return unread[0] == 0

        await eventually(was_read)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            assert await process.wait() == 130
