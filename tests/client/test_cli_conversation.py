"""`tokenbus chat` on a terminal: several turns, over a real pseudo-terminal."""

import asyncio
import contextlib
import os
import pty
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.client.answerer import Answerer, ending, numbered
from tests.client.command_line import Cli


class Terminal:
    """The person's end of a pseudo-terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._shown = b""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def shows(self, text: str) -> None:
        """Returns when `text` has appeared after what was waited for before."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        try:
            while text.encode() not in self._shown:
                await readable.wait()
                readable.clear()
                with contextlib.suppress(BlockingIOError):
                    self._shown += os.read(self._descriptor, 4096)
        finally:
            loop.remove_reader(self._descriptor)
        self._shown = self._shown.partition(text.encode())[2]


@asynccontextmanager
async def conversation(cli: Cli) -> AsyncGenerator[tuple[asyncio.subprocess.Process, Terminal]]:
    person, terminal = pty.openpty()
    os.set_blocking(person, False)
    try:
        async with cli.started("chat", stdin=terminal, stdout=terminal) as process:
            yield process, Terminal(person)
    finally:
        os.close(person)
        os.close(terminal)


async def test_a_conversation_goes_on_with_what_was_said(cli: Cli, answerer: Answerer) -> None:
    async with conversation(cli) as (process, terminal), asyncio.TaskGroup() as tasks:
        await terminal.shows("> ")
        terminal.type("Hi\n")
        first = tasks.create_task(answerer.answer_next(["Hello ", "you"]))
        await terminal.shows("Hello you\r\n> ")
        terminal.type("\nAnd?\n")
        second = tasks.create_task(answerer.answer_next(["Bye"]))
        await terminal.shows("Bye\r\n> ")
        terminal.type("\x04")
        assert await process.wait() == 0
    said = [{"type": "message", "role": role, "content": text} for role, text in TURNS]
    assert first.result()["input"] == said[:1]
    assert second.result()["input"] == said


async def test_a_turn_that_fails_is_taken_back(cli: Cli, answerer: Answerer) -> None:
    error = {"type": "overloaded", "code": "rate_limit_exceeded", "message": "full"}
    async with conversation(cli) as (process, terminal):
        await terminal.shows("> ")
        terminal.type("Hi\n")
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, numbered([ending(request, status="failed", error=error)]))
        await terminal.shows("> ")
        terminal.type("Again\n")
        body = await answerer.answer_next(["ok"])
        await terminal.shows("ok\r\n> ")
        terminal.type("\x04")
        assert await process.wait() == 0
    assert [item["content"] for item in body["input"]] == ["Again"]


async def test_ctrl_c_between_the_turns_leaves(cli: Cli, answerer: Answerer) -> None:
    async with conversation(cli) as (process, terminal):
        await terminal.shows("> ")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


TURNS = [("user", "Hi"), ("assistant", "Hello you"), ("user", "And?")]
