"""Write function tools in Python and host them on Tokenbus from any service."""

from tokenbus_schemas.tools import ToolCall, ToolDescription, ToolResult
from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.errors import ArgumentsError, ToolDefinitionError, ToolError, ToolkitError
from tokenbus_toolkit.function_tool import FunctionTool, tool
from tokenbus_toolkit.host import ToolHost
from tokenbus_toolkit.hosting import serve_tools, tool_host
from tokenbus_toolkit.journal import JournalTimes
from tokenbus_toolkit.outputs import File, Image
from tokenbus_toolkit.raw_tool import raw_tool
from tokenbus_toolkit.run import AsyncRun, Run, ThreadRun
from tokenbus_toolkit.service import ServiceName
from tokenbus_toolkit.tool import Bind, Tool, ToolLimits

__all__ = [
    "ArgumentsError",
    "AsyncRun",
    "Bind",
    "File",
    "FunctionTool",
    "Image",
    "JournalTimes",
    "Run",
    "ServiceName",
    "ThreadRun",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolDefinitionError",
    "ToolDescription",
    "ToolError",
    "ToolHost",
    "ToolLimits",
    "ToolResult",
    "ToolkitError",
    "raw_tool",
    "serve_tools",
    "tool",
    "tool_host",
]
