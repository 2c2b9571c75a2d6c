"""`tokenbus tools`, as it is typed."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.toolkit.conftest import Calling, StartHost
from tokenbus.cli import main
from tokenbus_toolkit import tool

Command = Callable[..., Awaitable[tuple[int, str]]]


@tool(version="1.2.0", idempotent=True)
async def add(first: int, second: int = 2) -> int:
    """Add two numbers."""
    return first + second


@pytest.fixture
def command(nats_url: str, root: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `tokenbus tools …`: the exit code, and what it prints."""

    async def run(*arguments: str) -> tuple[int, str]:
        # It has an event loop of its own, so it gets a thread.
        code = await asyncio.to_thread(main, ["tools", "--server", nats_url, "--root", root, *arguments])
        return code, capsys.readouterr().out

    return run


async def test_list_has_names_versions_hosts_and_how_calls_went(
    host: StartHost, calling: Calling, command: Command
) -> None:
    await host(add, service="sums")
    await host(add, service="sums")
    await calling("add", '{"first": 1}')
    await calling("add", '{"first": "x"}')

    code, printed = await command()

    heading, row = printed.splitlines()
    assert code == 0
    assert heading.split() == [
        "NAME",
        "SCOPE",
        "VERSION",
        "SERVICE",
        "HOSTS",
        "CALLS",
        "ERRORS",
        "MEAN",
        "MS",
        "HEALTH",
    ]
    assert row.split()[:7] == ["add", "shared", "1.2.0", "sums", "2", "2", "1"]
    assert row.endswith("ok")


async def test_name_shows_the_schema(host: StartHost, command: Command) -> None:
    await host(add)

    code, printed = await command("add")

    assert code == 0
    assert "Add two numbers." in printed
    assert "idempotent  yes" in printed
    assert json.loads(printed[printed.index("{") :]) == add.description.parameters


async def test_programs_get_json(host: StartHost, command: Command) -> None:
    await host(add)

    code, printed = await command("--json")

    (listed,) = json.loads(printed)
    assert (code, listed["health"], listed["hosts"][0]["parameters"]) == (0, "ok", add.description.parameters)


async def test_name_that_nobody_serves_fails(command: Command) -> None:
    assert await command("nothing") == (1, "")


async def test_nobody_serving_is_an_empty_list(command: Command) -> None:
    code, printed = await command()

    assert (code, len(printed.splitlines())) == (0, 1)
