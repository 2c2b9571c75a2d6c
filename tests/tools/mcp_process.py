"""An MCP server as a process: over stdio, or over streamable HTTP with the port as its only argument (0: any).

Over HTTP it says `PORT <number>` on standard output once it listens.
"""

import asyncio
import os
import signal
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("tests", log_level="CRITICAL")


@server.tool()
def add(first: int, second: int = 2) -> int:
    """Add two numbers."""
    return first + second


@server.tool(name="odd.name/of it")
def odd() -> str:
    """Has an odd name."""
    return "odd"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("out of stock")


@server.tool()
def picture() -> Image:
    """Give a picture."""
    return Image(data=b"png", format="png")


@server.tool()
async def build(ctx: Context) -> str:
    """Tell of progress."""
    await ctx.report_progress(1, 2, "half")
    return "built"


@server.tool()
async def endless() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


@server.tool()
def die() -> str:
    """End the process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


@server.tool()
def grow() -> str:
    """Add a tool, and take another one away."""
    server.add_tool(grown, name="grown", description="New.")
    server.remove_tool("fail")
    return "grown"


def grown() -> str:
    return "new"


async def serve_http(port: int) -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        sys.stdout.write(f"PORT {listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(server.streamable_http_app(), log_level="critical")
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(serve_http(int(sys.argv[1])))
    else:
        server.run("stdio")
