"""Many requests at once, and what came of each."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Unpack

import tokenbus
from tests.e2e.processes import MODEL
from tokenbus import Client
from tokenbus_schemas import EventLine


@dataclass(slots=True)
class Outcome:
    """One request: its events as its reader saw them, and how it ended."""

    events: list[EventLine] = field(default_factory=list[EventLine])
    ended: str = "not"
    """The type of the terminal event, or the name of the error that reading raised."""
    code: str = ""
    text: str = ""
    """Deltas joined."""
    final: str = ""
    """The text of the terminal event's response."""

    @property
    def has_gap(self) -> bool:
        return any(event.type == tokenbus.GAP_TYPE for event in self.events)

    @property
    def is_whole(self) -> bool:
        """Completed, and what was read on the way is what stands at the end: nothing short, nothing twice."""
        return self.ended == "response.completed" and self.text == self.final != ""


async def ask(
    client: Client, outcome: Outcome, *, timeout_s: float = 120.0, **params: Unpack[tokenbus.RequestParams]
) -> None:
    """One request, read to its end, into `outcome`."""
    try:
        async with client.stream({"model": MODEL, "input": "Tell me."}, timeout_s=timeout_s, **params) as stream:
            while batch := await stream.batch():
                outcome.events += batch
            response = await stream.response()
            outcome.final = response.output_text
    except tokenbus.ResponseFailedError as error:
        outcome.code, outcome.final = error.code, error.response.output_text
    except tokenbus.TokenbusError as error:
        outcome.ended = type(error).__name__
    if outcome.events and outcome.events[-1].is_terminal:
        outcome.ended = outcome.events[-1].type
    deltas = [event.data["delta"] for event in outcome.events if event.type == "response.output_text.delta"]
    outcome.text = "".join(map(str, deltas))


@dataclass(slots=True)
class Traffic:
    """Requests that are asked while something goes wrong."""

    client: Client
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def begin(self, group: asyncio.TaskGroup, count: int) -> list[asyncio.Task[None]]:
        """`count` requests at once."""
        started: list[asyncio.Task[None]] = []
        for _ in range(count):
            outcome = Outcome()
            self.outcomes.append(outcome)
            started.append(group.create_task(ask(self.client, outcome)))
        return started

    async def keep(self, count: int, *, until: Callable[[], bool]) -> None:
        """`count` requests at any time, one after the other, until `until()`; returns when all have ended."""

        async def lane() -> None:
            while not until():
                outcome = Outcome()
                self.outcomes.append(outcome)
                await ask(self.client, outcome)

        async with asyncio.TaskGroup() as lanes:
            for _ in range(count):
                lanes.create_task(lane())

    @property
    def endings(self) -> Counter[str]:
        return Counter(f"{outcome.ended} {outcome.code}".strip() for outcome in self.outcomes)
