"""The tools service and the example of another team's service, as processes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import StartNatsServer
from tests.tools.conftest import Calling
from tokenbus.bus import Bus
from tokenbus.tool_caller import tool_caller
from tokenbus.tool_discovery import discover
from tokenbus_schemas import Subjects
from tokenbus_schemas.tools import ToolResult
from tokenbus_tools import read_tools_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "orders"
MODULE = '''
from tokenbus_toolkit import tool

@tool
def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()

_hidden = tool(name="hidden")(lambda: None)
'''


@asynccontextmanager
async def process(*command: str, **environment: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def answered(calling: Calling, name: str, arguments: str) -> ToolResult:
    """The result, as soon as somebody serves the tool."""
    async with asyncio.timeout(20):
        while (result := await calling(name, arguments)) is None:
            pass
    return result


async def test_service_serves_the_modules_in_its_settings(
    nats_url: str, root: str, calling: Calling, tmp_path: Path
) -> None:
    (tmp_path / "loud_tools.py").write_text(MODULE)
    settings = {"TOKENBUS_NATS_URL": nats_url, "TOKENBUS_ROOT": root, "TOKENBUS_TOOLS_MODULES": "loud_tools"}
    async with process("-m", "tokenbus_tools", **settings, PYTHONPATH=str(tmp_path)) as service:
        result = await answered(calling, "shout", '{"text": "hello"}')
        hidden = await calling("hidden")
        service.send_signal(signal.SIGTERM)
        _, log = await service.communicate()

    assert (result.output, hidden, service.returncode) == ("HELLO", None, 0)
    assert "hello" not in log.decode().lower()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"TOKENBUS_TOOLS_MODULES": "no.such.module"}, "module 'no.such.module': can not be imported"),
        ({"TOKENBUS_TOOLS_MODULES": "json"}, "module 'json': holds no tool"),
        ({"TOKENBUS_TOOLS_FILE": "/nowhere.yaml"}, "No such file"),
    ],
)
async def test_service_that_can_not_serve_says_why_and_ends(settings: dict[str, str], problem: str) -> None:
    async with process("-m", "tokenbus_tools", **settings) as service:
        _, log = await service.communicate()

    assert service.returncode == 2
    assert problem in log.decode()


async def test_example_of_another_team_works_as_its_readme_says(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    subjects = Subjects()
    async with (
        process(str(EXAMPLE / "orders_tools.py"), TOKENBUS_NATS_URL=server.url) as service,
        Bus.connect(server.url, name="tests") as bus,
        tool_caller(bus, subjects) as caller,
    ):
        calling = Calling(caller, subjects=subjects)
        found = await answered(calling, "find_orders", '{"status": "shipped", "since": null}')
        refused = await calling("cancel_order", '{"number": 1002, "reason": null}')
        cancelled = await calling("cancel_order", '{"number": "1001", "reason": "too late"}')
        tools = {tool.description.name: tool.description for tool in await discover(bus, subjects)}
        service.send_signal(signal.SIGTERM)
        await service.communicate()

    assert json.loads(str(found.output))[0] == {
        "number": 1002, "status": "shipped", "ordered": "2026-11-02", "items": ["cup", "saucer"]
    }  # fmt: skip
    assert refused == ToolResult(
        output="Order 1002 was shipped and can not be cancelled; offer a return instead.", outcome="error"
    )
    assert cancelled == ToolResult(output="Order 1001 is cancelled (too late).", outcome="ok")
    assert [news.message for news in calling.progress] == ["cancelling"]
    assert (tools["find_orders"].idempotent, tools["cancel_order"].strict) == (True, True)
    assert service.returncode == 0


def test_example_file_can_be_read() -> None:
    text = (EXAMPLE / "tools.yaml").read_text()

    file = read_tools_file(text, environment={"SHOP_TOKEN": "a", "TICKETS_TOKEN": "b"})

    assert ([row.name for row in file.http], [row.name for row in file.mcp]) == (["get_price"], ["files", "tickets"])
