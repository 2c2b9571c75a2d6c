"""The public names, pinned: a new one is a decision."""

import tokenbus_toolkit

NAMES = """
ArgumentsError AsyncRun Bind File FunctionTool Image JournalTimes Run ServiceName ThreadRun Tool ToolCall ToolContext
ToolDefinitionError ToolDescription ToolError ToolHost ToolLimits ToolResult ToolkitError raw_tool serve_tools tool
tool_host
"""


def test_public_names_are_those_listed_here() -> None:
    assert sorted(tokenbus_toolkit.__all__) == sorted(NAMES.split())
    assert all(hasattr(tokenbus_toolkit, name) for name in tokenbus_toolkit.__all__)
