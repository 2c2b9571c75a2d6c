"""Every result that a host makes itself, in one place: the sentences that a model reads when a tool gave it none. Pure.

Each says what happened, whether there may have been an effect, and what to do.
"""

from collections.abc import Sequence
from typing import Final, Literal

from tokenbus_schemas.tools import ToolResult

StopReason = Literal["cancelled", "timeout", "deadline", "shutdown", "superseded"]
"""cancelled: the request was; timeout: the tool's own; deadline: the request's; shutdown: the host stops; superseded:
another host took this one for dead and has settled the call."""

_MAYBE: Final = "It may have taken effect, in part or in whole."
_STOPPED: Final[dict[StopReason, str]] = {
    "cancelled": "The call was cancelled while it ran.",
    "timeout": "The tool did not finish within its {limit_s:g} s and was stopped.",
    "deadline": "The request's time was up while the tool ran, and it was stopped.",
    "shutdown": "The service that runs the tool was stopped while it ran.",
    "superseded": "The tool ran, but lost touch with the bus.",
}
_NOT_STARTED: Final[dict[StopReason, str]] = {
    "cancelled": "The call was cancelled before it started.",
    "timeout": "The tool was busy with other calls until the time was up.",
    "deadline": "The request's time was up before the tool started.",
    "shutdown": "The service that runs the tool was stopped before it started.",
    "superseded": "Another host took the call over.",
}


def raised(message: str) -> ToolResult:
    """The tool raised a `ToolError`."""
    return ToolResult(output=message, outcome="error")


def crashed() -> ToolResult:
    """The tool raised anything else: what it says is for our log only."""
    return ToolResult(output=f"The tool failed with an internal error. {_MAYBE}", outcome="error")


def invalid_arguments(tool: str, problems: Sequence[str]) -> ToolResult:
    return ToolResult(
        output=f"Invalid arguments for {tool}: {'; '.join(problems)}. It was not run; correct them and call again.",
        outcome="invalid_arguments",
    )


def unreadable_output(type_name: str) -> ToolResult:
    return ToolResult(
        output=f"The tool ran, but returned a {type_name}, which is no text and can not be written as JSON.",
        outcome="error",
    )


def too_large(size: int, *, limit: int) -> ToolResult:
    """`size` and `limit` in bytes, as sent."""
    return ToolResult(
        output=f"The tool ran, but its output of {size} bytes is over the limit of {limit} bytes and was discarded. "
        "Ask it for less.",
        outcome="error",
    )


def stopped(reason: StopReason, *, limit_s: float, ignored: bool) -> ToolResult:
    """The tool was running. `ignored`: it was told to stop and did not."""
    what = _STOPPED[reason].format(limit_s=limit_s)
    effect = "It did not stop when told to and may yet take effect." if ignored else _MAYBE
    return ToolResult(output=f"{what} {effect}", outcome=_outcome(reason))


def not_started(reason: StopReason) -> ToolResult:
    return ToolResult(output=f"{_NOT_STARTED[reason]} It had no effect.", outcome=_outcome(reason))


def _outcome(reason: StopReason) -> Literal["cancelled", "timeout", "unknown"]:
    match reason:
        case "cancelled":
            return "cancelled"
        case "timeout" | "deadline":
            return "timeout"
        case "shutdown" | "superseded":
            return "unknown"


def unknown() -> ToolResult:
    """The runner died, and the tool is not idempotent."""
    return ToolResult(
        output="The outcome of this call is unknown: the process that ran it ended before it could report. It may have "
        "taken effect or not, and was not run again. Find out before you call it again.",
        outcome="unknown",
    )


def busy(waiting: int) -> ToolResult:
    return ToolResult(
        output=f"The tool is busy: {waiting} calls wait already. This one was not run; try again later.",
        outcome="error",
    )


def unavailable() -> ToolResult:
    return ToolResult(
        output="The tool could not be started, because its journal is not available. It was not run; try again later.",
        outcome="error",
    )


def other_call() -> ToolResult:
    return ToolResult(
        output="Another call, with another tool or other arguments, was made under the same key. This one was not run.",
        outcome="error",
    )


def other_tenant() -> ToolResult:
    return ToolResult(output="This tool belongs to another tenant. It was not run.", outcome="error")


def unreadable_call(problem: str) -> ToolResult:
    return ToolResult(output=f"The call could not be read: {problem}. It was not run.", outcome="error")
