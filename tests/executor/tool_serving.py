"""Tools beside an executor: hosts that serve them, requests that offer them, and what stands in the answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from tests.toolkit.conftest import hosted
from tests.valid_stream import Json
from tokenbus_toolkit import Tool, tool

Serve = Callable[..., Awaitable[None]]
ANY_OBJECT: Final[Json] = {"type": "object", "properties": {}, "additionalProperties": True}


async def serving(nats_url: str, root: str) -> AsyncGenerator[Serve]:
    """For a fixture: `await serve(tool, …, service="name")` hosts tools until the test ends."""
    async with AsyncExitStack() as exits:

        async def start(*tools: Tool, service: str = "tests") -> None:
            await exits.enter_async_context(hosted(nats_url, *tools, root=root, service=service))

        yield start


@tool
async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


@tool
async def shout(word: str) -> str:
    """Say it loud."""
    return word.upper()


def function(name: str) -> Json:
    return {"type": "function", "name": name, "parameters": ANY_OBJECT, "strict": False}


def asking(*names: str, **fields: Any) -> Json:
    """A request that offers these functions."""
    return {"input": "Go on.", "tools": [function(name) for name in names], **fields}


def kinds(events: Sequence[Json]) -> list[str]:
    """The types of the output items."""
    return [item["type"] for item in events[-1]["response"]["output"]]


def outputs(events: Sequence[Json]) -> list[Any]:
    """What the tools gave."""
    return [item["output"] for item in events[-1]["response"]["output"] if item["type"] == "function_call_output"]
