"""The Tokenbus tools service: hosts Python functions, HTTP endpoints and MCP servers as tools."""

from tokenbus_tools.app import serving_tools
from tokenbus_tools.errors import ModuleError, ToolsError, ToolsFileError
from tokenbus_tools.settings import ToolsSettings
from tokenbus_tools.tools_file import HttpToolRow, McpServerRow, ToolsFile, read_tools_file

__all__ = [
    "HttpToolRow",
    "McpServerRow",
    "ModuleError",
    "ToolsError",
    "ToolsFile",
    "ToolsFileError",
    "ToolsSettings",
    "read_tools_file",
    "serving_tools",
]
