"""One run of one tool: arguments in, result out, whatever the tool does. Knows nothing of the bus or the journal."""

import asyncio
import logging
import time
import traceback
from typing import Final, NamedTuple

from tokenbus.error_site import error_site
from tokenbus_schemas.tools import ToolCall, ToolResult
from tokenbus_toolkit import results
from tokenbus_toolkit.arguments import read_arguments
from tokenbus_toolkit.context import ProgressReporter, ToolContext
from tokenbus_toolkit.errors import ArgumentsError, ToolError
from tokenbus_toolkit.outputs import OutputError, tool_output, valid_text
from tokenbus_toolkit.results import StopReason
from tokenbus_toolkit.tool import Tool
from tokenbus_toolkit.work import Finished, Work

_log = logging.getLogger(__name__)

STOP_GRACE_S: Final = 1.0
"""How long a tool that was told to stop may take over it. What it still returns in that time counts."""

_MAX_BYTES_PER_CHARACTER: Final = 6
"""In JSON: a control character is written as \\u001f."""
_FRAME_BYTES: Final = 256


class Outcome(NamedTuple):
    """`reason`: why it did not end by itself. `started`: it ran at all. `leftover`: it ignores that it was stopped."""

    result: ToolResult
    reason: StopReason | None = None
    started: bool = True
    leftover: Work | None = None


async def invoke(
    tool: Tool,
    call: ToolCall,
    *,
    stopping: asyncio.Future[StopReason],
    report: ProgressReporter,
    group: asyncio.TaskGroup,
    max_output_bytes: int,
) -> Outcome:
    """Run `tool` until it ends, its time is up, or `stopping` has a reason to end it. Raises nothing of the tool's.

    A cancel of this leaves the tool to `group`.
    """
    now = time.time()
    deadline = min(call.deadline, now + tool.description.timeout_s)
    if stopping.done() or deadline <= now:
        reason = stopping.result() if stopping.done() else "deadline"
        return Outcome(results.not_started(reason), reason=reason, started=False)
    context = ToolContext(call, deadline=deadline, report=report)
    try:
        run = tool.bind(read_arguments(call.arguments), context)
    except ArgumentsError as error:
        return Outcome(results.invalid_arguments(tool.name, error.problems))
    except Exception as error:  # noqa: BLE001 - a validator of the tool's own
        return Outcome(_failed(tool, call, error))
    work = Work(run, context, group=group, name=f"tool {tool.name} {call.key}")
    await asyncio.wait({work.ended, stopping}, timeout=deadline - now, return_when=asyncio.FIRST_COMPLETED)
    if work.ended.done():
        return Outcome(_result(tool, call, work.finished, limit_bytes=max_output_bytes))
    reason = "deadline" if deadline == call.deadline else "timeout"
    if stopping.done():
        reason = stopping.result()
    return await _stop(work, tool, call, reason=reason, limit_bytes=max_output_bytes)


async def _stop(work: Work, tool: Tool, call: ToolCall, *, reason: StopReason, limit_bytes: int) -> Outcome:
    work.stop()
    await asyncio.wait({work.ended}, timeout=STOP_GRACE_S)
    finished = work.finished
    if finished is not None and finished.error is None:
        return Outcome(_result(tool, call, finished, limit_bytes=limit_bytes))
    ignored = not work.ended.done()
    if ignored:
        _log.warning("a tool ignores that it was stopped", extra={**call_fields(tool, call), "reason": reason})
    result = results.stopped(reason, limit_s=tool.description.timeout_s, ignored=ignored)
    return Outcome(result, reason=reason, leftover=work if ignored else None)


def _result(tool: Tool, call: ToolCall, finished: Finished | None, *, limit_bytes: int) -> ToolResult:
    if finished is None:
        return _failed(tool, call, asyncio.CancelledError())
    if isinstance(finished.error, ToolError):
        return limited(results.raised(valid_text(finished.error.message)), limit_bytes=limit_bytes)
    if finished.error is not None:
        return _failed(tool, call, finished.error)
    try:
        result = ToolResult(output=tool_output(finished.value), outcome="ok")
    except OutputError as error:
        _log.error("a tool returned what is no output", extra={**call_fields(tool, call), "type": error.type_name})
        return results.unreadable_output(error.type_name)
    return limited(result, limit_bytes=limit_bytes)


def limited(result: ToolResult, *, limit_bytes: int) -> ToolResult:
    """The result, or one that says that it was too large."""
    if isinstance(result.output, str) and len(result.output) * _MAX_BYTES_PER_CHARACTER < limit_bytes - _FRAME_BYTES:
        return result
    size = len(result.model_dump_json().encode())
    return result if size <= limit_bytes else results.too_large(size, limit=limit_bytes)


def _failed(tool: Tool, call: ToolCall, error: BaseException) -> ToolResult:
    """The exception's text may quote arguments, so the log has its kind and the lines that it went through."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a tool failed", extra={**call_fields(tool, call), "error": error_site(error), "where": where})
    return results.crashed()


def call_fields(tool: Tool, call: ToolCall) -> dict[str, object]:
    """What every log line about a call says."""
    return {"tool": tool.name, "tenant": call.tenant, "request_id": call.request_id, "call_id": call.call_id}
