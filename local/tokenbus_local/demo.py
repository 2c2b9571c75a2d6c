"""The demo: real requests over the bus, and what a reader sees of them."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import tokenbus
from tokenbus import Client, ResponseStream
from tokenbus.answer_text import AnswerText
from tokenbus_schemas import EventLine, vocabulary

MODEL: Final = "openai/gpt-4.1-mini"
TOOL: Final = "get_stock"
"""One of `example_tools`."""
SHOWN_STEPS: Final = 6
"""How many messages of each watcher are shown one by one."""
LATE_AFTER: Final = 12
"""The late watcher joins when the first has read so many event messages."""


async def run_demo(nats_url: str) -> None:
    """Four scenes. Raises what the client raises."""
    async with tokenbus.connect(nats_url) as client:
        await _one_request(client)
        await _three_watchers(client)
        await _cancel(client)
        await _tool_call(client)


async def _one_request(client: Client) -> None:
    _title("1. One request: the event goes in, tokens come out")
    started = time.perf_counter()
    first_s: float | None = None
    async with client.stream(model=MODEL, input="Say in two sentences why a message bus suits LLM requests.") as stream:
        async for piece in stream.text:
            if first_s is None:
                first_s = time.perf_counter() - started
            print(piece, end="", flush=True)
        response = await stream.response()
    usage = response.usage
    tokens = f"{usage.output_tokens} tokens" if usage is not None else "usage unknown"
    print(f"\n  first token after {1000 * (first_s or 0):.0f} ms, {tokens}, status {response.status}, {response.id}")


@dataclass(slots=True)
class _Watcher:
    """A reader that tells what reaches it, message by message."""

    name: str
    text: AnswerText = field(default_factory=AnswerText)
    read: str = ""
    steps: int = 0
    is_halfway: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, stream: ResponseStream) -> None:
        async with stream:
            while batch := await stream.batch():
                piece = "".join(self.text.feed(line) for line in batch)
                self.read += piece
                self.steps += 1
                if self.steps <= SHOWN_STEPS:
                    numbers = f"{batch[0].sequence_number}-{batch[-1].sequence_number}"
                    print(f"  {self.name:<8} events {numbers:>7}  {piece[:70]!r}", flush=True)
                if self.steps == LATE_AFTER:
                    self.is_halfway.set()
        self.is_halfway.set()


async def _three_watchers(client: Client) -> None:
    _title("2. One answer, two watchers at once, and a late one that replays")
    first, second, late = _Watcher("first"), _Watcher("second"), _Watcher("late")
    request = client.stream(model=MODEL, input="Name ten uses of a message bus, one line each.", on_exit="continue")
    async with request as stream:
        identity = stream.request_id
    async with asyncio.TaskGroup() as group:
        group.create_task(first.watch(client.attach(identity)))
        group.create_task(second.watch(client.attach(identity)))
        await first.is_halfway.wait()
        print("  ... the late one joins now: its first message holds everything so far")
        group.create_task(late.watch(client.attach(identity)))
    same = first.read == second.read == late.read
    print(f"  {len(first.read)} characters each, all three the same: {'yes' if same else 'NO'}")


async def _cancel(client: Client) -> None:
    _title("3. Cancel by id, as any process may")
    async with client.stream(model=MODEL, input="Tell a very long story.") as stream:
        first = await anext(stream.text)
        print(f"  {first!r} ... and cancel {stream.request_id}")
        started = time.perf_counter()
        await client.cancel(stream.request_id)
        response = await stream.response()
    print(f"  ended after {1000 * (time.perf_counter() - started):.0f} ms with status {response.status}")


async def _tool_call(client: Client) -> None:
    _title("4. A tool call: the model asks, the tools service runs it, the answer goes on")
    request = client.stream(
        model=MODEL,
        input=f"How much tea is left? Ask {TOOL}, then answer in one sentence.",
        tools=[{"type": "function", "name": TOOL}],  # its definition comes from the service that serves it
    )
    async with request as stream:
        async for line in stream:
            if (shown := shown_event(line)) is not None:
                print(f"  {line.sequence_number:>3} {line.type:<38} {shown}", flush=True)
        response = await stream.response()
    print(f"  {response.output_text!r}\n  status {response.status}, {len(response.output)} items in one response")


def shown_event(line: EventLine) -> str | None:
    """What a tool scene shows of an event; None: nothing, such as pieces of text."""
    match line.type:
        case "response.output_item.added" | "response.output_item.done":
            item = line.data["item"]
            return f"{item['type']} {item.get('name') or item.get('output') or ''}".rstrip()
        case "response.function_call_arguments.done":
            return str(line.data["arguments"])
        case vocabulary.TOOL_PROGRESS:
            return str(line.data["message"])
        case _:
            return "" if line.is_terminal else None


def _title(text: str) -> None:
    print(f"\n{text}", flush=True)
