"""What a tool is to a host: what it says of itself, how much it may take, and how arguments become a run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tokenbus_schemas.tools import ToolDescription
from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.run import Run
from tokenbus_toolkit.schema_fit import JsonObject

MAX_OUTPUT_BYTES: Final = 512 * 1024
"""Half of NATS' default payload limit: the output is sent again inside the response."""


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Of one tool, in each process that hosts it. Its timeout stands in its description."""

    concurrency: int = 64
    """Runs at the same time; further calls wait their turn."""
    max_waiting: int = 10_000
    """Calls that wait their turn, ten seconds' worth at a thousand a second; further ones are refused, in words."""
    max_output_bytes: int = MAX_OUTPUT_BYTES
    """Of the result as sent. A larger output is replaced by an error output that names the limit."""


Bind = Callable[[JsonObject, ToolContext], Run]
"""Checks the arguments and says how to run with them; runs nothing yet. Raises `ArgumentsError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool of any kind: a decorated function, an HTTP endpoint, a tool of an MCP server."""

    description: ToolDescription
    bind: Bind
    limits: ToolLimits = field(default_factory=ToolLimits)

    @property
    def name(self) -> str:
        return self.description.name
