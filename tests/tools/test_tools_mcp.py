"""Tools of MCP servers, over stdio and over streamable HTTP: real servers in processes of their own."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from tests.tools.conftest import MCP_PROCESS, Calling, RunningTools
from tokenbus.tool_discovery import discover
from tokenbus_schemas import Subjects
from tokenbus_schemas.tools import ToolResult

STDIO = json.dumps({"mcp": [{"name": "lab", "command": sys.executable, "args": [str(MCP_PROCESS)]}]})
StartServer = Callable[..., Awaitable[int]]


@pytest.fixture
async def http_server() -> AsyncGenerator[tuple[StartServer, Callable[[], None]]]:
    """Starts a server over HTTP, on the same port again if it is given; kills it."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(port: int = 0) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(MCP_PROCESS), str(port), stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return int((await process.stdout.readline()).removeprefix(b"PORT "))

    def kill() -> None:
        processes[-1].kill()

    yield start, kill
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def served(calling: Calling, name: str) -> None:
    """Returns when somebody serves the tool."""
    async with asyncio.timeout(20):
        while await calling(name) is None:
            pass


async def answered(calling: Calling, name: str, arguments: str) -> None:
    """Returns when the tool gives an output."""
    async with asyncio.timeout(20):
        while (result := await calling(name, arguments)) is None or result.outcome != "ok":
            pass


async def test_tools_are_served_with_a_prefix_and_their_own_schemas(
    tools_service: RunningTools, calling: Calling, root: str
) -> None:
    async with tools_service(file=STDIO) as bus:
        found = {tool.description.name: tool.description for tool in await discover(bus, Subjects(root))}
        result = await calling("lab_add", '{"first": 40}')

    assert result == ToolResult(output="42", outcome="ok")
    assert found["lab_add"].description == "Add two numbers."
    assert found["lab_add"].parameters["properties"]["first"]["type"] == "integer"
    assert "lab_odd_name_of_it" in found
    assert not any(description.idempotent for description in found.values())


async def test_everything_that_a_server_answers_reaches_the_model(
    tools_service: RunningTools, calling: Calling
) -> None:
    async with tools_service(file=STDIO):
        odd, failed, picture, built, wrong = [
            await calling(f"lab_{name}") for name in ("odd_name_of_it", "fail", "picture", "build", "add")
        ]

    assert odd == ToolResult(output="odd", outcome="ok")
    assert failed is not None
    assert (failed.outcome, "out of stock" in str(failed.output)) == ("error", True)
    assert picture is not None
    assert picture.output == [{"type": "input_image", "image_url": "data:image/png;base64,cG5n", "detail": "auto"}]
    assert built == ToolResult(output="built", outcome="ok")
    assert [(news.message, news.fraction) for news in calling.progress] == [("half", 0.5)]
    assert wrong is not None
    assert (wrong.outcome, "first: is required and missing" in str(wrong.output)) == ("invalid_arguments", True)


async def test_server_that_dies_is_started_again(tools_service: RunningTools, calling: Calling) -> None:
    async with tools_service(file=STDIO):
        died = await calling("lab_die")
        await answered(calling, "lab_add", '{"first": 1}')

    assert died is not None
    assert (died.outcome, "may have taken effect" in str(died.output)) == ("error", True)


async def test_new_listing_adds_and_withdraws_tools(tools_service: RunningTools, calling: Calling) -> None:
    async with tools_service(file=STDIO):
        assert await calling("lab_grown") is None
        await calling("lab_grow")
        await served(calling, "lab_grown")
        assert await calling("lab_fail") is None


async def test_only_the_named_tools_are_served_and_some_may_run_again(tools_service: RunningTools, root: str) -> None:
    row = {"name": "lab", "command": sys.executable, "args": [str(MCP_PROCESS)], "tools": ["add"]}
    async with tools_service(file=json.dumps({"mcp": [{**row, "idempotent": ["add"]}]})) as bus:
        found = [tool.description for tool in await discover(bus, Subjects(root))]

    assert [(description.name, description.idempotent) for description in found] == [("lab_add", True)]


async def test_cancel_reaches_the_server(tools_service: RunningTools, calling: Calling) -> None:
    async with tools_service(file=STDIO) as bus, asyncio.TaskGroup() as group:
        sent = group.create_task(calling("lab_endless", request_id="endless"))
        async with asyncio.timeout(10):
            while not sent.done():
                await bus.publish(calling.subjects.tool_cancel("default.endless.0.0"), b"")
                await asyncio.wait({sent}, timeout=0.05)

    result = sent.result()
    assert result is not None
    assert result.outcome == "cancelled"


async def test_server_over_http_may_go_and_come_back(
    tools_service: RunningTools, calling: Calling, http_server: tuple[StartServer, Callable[[], None]]
) -> None:
    start, kill = http_server
    port = await start()
    file = json.dumps({"mcp": [{"name": "web", "url": f"http://127.0.0.1:{port}/mcp", "headers": {"X-Key": "k"}}]})
    async with tools_service(file=file):
        assert await calling("web_add", '{"first": 1}') == ToolResult(output="3", outcome="ok")
        kill()
        away = await calling("web_add", '{"first": 1}')
        await start(port)
        await answered(calling, "web_add", '{"first": 1}')

    assert away is not None
    assert away.outcome == "error"


async def test_server_that_is_away_at_the_start_is_waited_for_only_so_long(
    tools_service: RunningTools, calling: Calling, http_server: tuple[StartServer, Callable[[], None]]
) -> None:
    start, kill = http_server
    port = await start()
    kill()
    file = json.dumps({"mcp": [{"name": "web", "url": f"http://127.0.0.1:{port}/mcp"}]})
    async with tools_service(file=file, start_timeout_s=0.2):
        assert await calling("web_add") is None
        await start(port)
        await served(calling, "web_add")
