"""The function calls among what a model said, and which items of a round wait for the client. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenbus_schemas import WorkOrder
from tokenbus_schemas.tools import ToolCall
from tokenbus_translate.json_value import JsonObject, as_text

# openai 3.54 `ResponseOutputItem`: items that ask the client for something have a call_id, this one excepted. One whose
# output stands in the same round was run, here or by the provider.
_APPROVAL: Final = "mcp_approval_request"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of a function that may be run here. `index`: its place among all function calls of its round."""

    index: int
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str

    def to_wire(self, order: WorkOrder, *, number: int) -> ToolCall:
        """The call as hosts get it; `number` is the round's, from 0."""
        return ToolCall(
            tenant=order.tenant,
            request_id=order.request_id,
            round=number,
            index=self.index,
            call_id=self.call_id,
            name=self.name,
            arguments=self.arguments,
            deadline=order.deadline,
        )


def runnable_calls(said: Sequence[JsonObject], *, first_index: int, functions: frozenset[str]) -> list[FunctionCall]:
    """The calls of these functions, in order. `first_index`: the output index of the first item.

    A call in a namespace is of another tool, whatever its name.
    """
    calls: list[FunctionCall] = []
    for index, (place, item) in enumerate(_function_calls(said)):
        name = as_text(item.get("name"))
        if name in functions and not item.get("namespace"):
            calls.append(
                FunctionCall(
                    index=index,
                    item_id=str(item.get("id")),
                    output_index=first_index + place,
                    call_id=str(item.get("call_id")),
                    name=name,
                    arguments=as_text(item.get("arguments")) or "",
                )
            )
    return calls


def asks_client(items: Sequence[JsonObject]) -> bool:
    """Whether one of a round's items waits for the client."""
    answered = {as_text(item.get("call_id")) for item in items if str(item.get("type")).endswith("_output")}
    called = [call_id for item in items if (call_id := as_text(item.get("call_id"))) is not None]
    return any(call_id not in answered for call_id in called) or any(item.get("type") == _APPROVAL for item in items)


def _function_calls(said: Sequence[JsonObject]) -> list[tuple[int, JsonObject]]:
    return [(place, item) for place, item in enumerate(said) if item.get("type") == "function_call"]
