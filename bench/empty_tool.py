"""The tool whose calls are measured: it does nothing."""

from tokenbus_toolkit import tool


@tool
async def empty() -> None:
    """Do nothing."""
