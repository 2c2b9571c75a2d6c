"""Services behind tools that misbehave: they cost their own calls, and nobody else's."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator

import pytest

from tests.tools.conftest import Calling, RunningTools
from tokenbus_toolkit import tool

NONSENSE = "import sys\nwhile True: sys.stdout.write('no JSON at all\\n' * 100); sys.stdout.flush()"
ENDS = "import sys; sys.exit(3)"
WRONG_ANSWERS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        wrong = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": 7, "protocolVersion": []}}
        print(json.dumps(wrong), flush=True)
"""


@tool
async def plain() -> str:
    """Of the service's own."""
    return "here"


@pytest.mark.parametrize("program", [NONSENSE, ENDS, WRONG_ANSWERS], ids=["nonsense", "ends", "wrong answers"])
async def test_mcp_server_that_speaks_nonsense_costs_no_other_tool(
    tools_service: RunningTools, calling: Calling, program: str
) -> None:
    file = json.dumps({"mcp": [{"name": "bad", "command": sys.executable, "args": ["-c", program]}]})
    async with tools_service(file=file, tools=[plain], start_timeout_s=2.0):
        results = [await calling("plain") for _ in range(20)]

    assert [result and result.output for result in results] == ["here"] * 20


@pytest.fixture
async def dripping() -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """An HTTP server that never ends its answer, and the event of its client's going."""
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
        finally:
            writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", gone


async def test_endpoint_that_drips_is_left_when_the_tools_time_is_up(
    tools_service: RunningTools, calling: Calling, dripping: tuple[str, asyncio.Event]
) -> None:
    url, gone = dripping
    row = {"name": "slow", "description": "Slow.", "url": url, "parameters": {"type": "object"}, "timeout_s": 0.5}
    async with tools_service(file=json.dumps({"http": [row]})):
        result = await calling("slow")
        async with asyncio.timeout(10):
            await gone.wait()

    assert result is not None
    assert result.outcome == "timeout"


async def test_tool_that_writes_to_standard_output_disturbs_nobody(
    tools_service: RunningTools, calling: Calling, capfd: pytest.CaptureFixture[str]
) -> None:
    @tool
    def chatty() -> str:
        sys.stdout.write("noise\n" * 1000)
        return "done"

    async with tools_service(tools=[chatty]):
        result = await calling("chatty")

    assert result is not None
    assert result.output == "done"
    assert "noise" in capfd.readouterr().out
