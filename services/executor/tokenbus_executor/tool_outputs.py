"""Outputs of tool calls as items, and those that are made here: the sentences that a model reads. Pure.

Each says what happened, whether there may have been an effect, and what to do.
"""

from typing import Final, Literal

from tokenbus_schemas.tools import ToolOutput, ToolResult
from tokenbus_translate.json_value import JsonObject, as_objects

Interruption = Literal["cancelled", "deadline", "failed"]
"""Why a request ended while its tools ran: its user cancelled it; its time was up; an error of ours."""

OUTPUT_TYPE: Final = "function_call_output"

_MAYBE: Final = "It may have taken effect, in part or in whole."
_NO_EFFECT: Final = "It was not run."
_INTERRUPTED: Final[dict[Interruption, str]] = {
    "cancelled": "The request was cancelled before this call had a result.",
    "deadline": "The request's time was up before this call had a result.",
    "failed": "The request failed before this call had a result.",
}
_NO_TEXT: Final = "[{kind} left out: this model takes text only as the output of a tool]"
_KINDS: Final = {"input_image": "an image", "input_file": "a file"}


def interrupted(why: Interruption, *, sent: bool) -> ToolResult:
    """Nobody waits for the call's own result any more. `sent`: it may have reached a tool."""
    return ToolResult(output=f"{_INTERRUPTED[why]} {_MAYBE if sent else _NO_EFFECT}", outcome="cancelled")


def too_many(limit: int) -> ToolResult:
    """A call beyond the bound of a round."""
    return ToolResult(
        output=f"At most {limit} calls are run at once. This one was not run; call again if it is still needed.",
        outcome="error",
    )


def superseded() -> ToolResult:
    """An earlier attempt of the request has dispatched other calls in this round."""
    return ToolResult(
        output="This call was not run: the request had been taken up again, and other calls were made instead.",
        outcome="error",
    )


def unreachable() -> ToolResult:
    """An earlier attempt sent the call, a service took it, and none serves it now."""
    return ToolResult(
        output="The outcome of this call is unknown: the service that took it is gone, and no other has come. It may "
        "have taken effect or not. Find out before you call it again.",
        outcome="unknown",
    )


def output_item(call_id: str, output: ToolOutput) -> JsonObject:
    """A `function_call_output` item without an id."""
    return {"type": OUTPUT_TYPE, "call_id": call_id, "output": output}


def text_only(item: JsonObject) -> JsonObject:
    """A tool's output as Chat Completions takes it: images and files become words. Other items as they are."""
    output = item.get("output")
    if item.get("type") != OUTPUT_TYPE or isinstance(output, str):
        return item
    return {**item, "output": [_worded(part) for part in as_objects(output)]}


def _worded(part: JsonObject) -> JsonObject:
    kind = str(part.get("type"))
    return (
        part if kind == "input_text" else {"type": "input_text", "text": _NO_TEXT.format(kind=_KINDS.get(kind, kind))}
    )
