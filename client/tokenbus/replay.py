"""The replay service, asked for one answer: stored events after a sequence number, page by page.

After a reconnect, or when the machine is overloaded, all answers of a process want a replay at the same moment. A
router that is asked faster than it answers lets every call time out, each is asked again, and it never catches up. So
only some calls are on their way at a time; the others wait here, where waiting costs nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from tokenbus.bus import Bus
from tokenbus.calls import call
from tokenbus.errors import BusTimeoutError, CallRefusedError, ContractError, NoRespondersError
from tokenbus_schemas import Event, EventLine, MalformedEventError, ReplayPage, ReplayRequest, encode
from tokenbus_schemas.replay import ReplayMode, ReplayState

PAGE_EVENTS: Final = 1000
TIMEOUT_S: Final = 2.0
AT_ONCE: Final = 16
"""Calls of one process that may be on their way. A router works on 64 of all its clients together."""


class Page(NamedTuple):
    """One answer of the replay service."""

    state: ReplayState
    lines: list[EventLine]
    more: bool


class Replay:
    """Asks on one subject, `Subjects.replay(tenant, request_id)`."""

    def __init__(self, bus: Bus, *, subject: str, turns: asyncio.Semaphore) -> None:
        """`turns`: shared by all answers of the process; a call's time limit begins with its turn."""
        self._bus = bus
        self._subject = subject
        self._turns = turns

    async def page(self, *, after: int, mode: ReplayMode = "events") -> Page:
        """Raises `BusError` (no answer: ask again), `ContractError` and `CallRefusedError`."""
        question = ReplayRequest(after=after, limit=PAGE_EVENTS, mode=mode).model_dump_json().encode()
        try:
            async with self._turns:
                page = await call(self._bus, self._subject, payload=question, reply=ReplayPage, timeout_s=TIMEOUT_S)
        except (NoRespondersError, BusTimeoutError):
            await self._bus.unanswered()  # our server may be the one that is alone
            raise
        if page.error is not None:
            raise CallRefusedError(self._subject, error=page.error)
        self._bus.answered()
        try:
            return Page(page.state, [_line(event) for event in page.events], page.more)
        except (KeyError, TypeError, AttributeError, MalformedEventError) as error:
            raise ContractError(f"an event in the reply of {self._subject}", problems=1) from error

    async def terminal(self) -> EventLine | None:
        """The terminal event, whatever its number; None where none is stored. Raises as `page()`."""
        after = -1
        while True:
            page = await self.page(after=after)
            if not page.more or not page.lines:
                return next((line for line in page.lines if line.is_terminal), None)
            after = page.lines[-1].sequence_number


def _line(event: Mapping[str, Any]) -> EventLine:
    fields = to_json({name: value for name, value in event.items() if name not in ("type", "sequence_number")})[1:-1]
    return EventLine(encode(Event(event["type"], b"," + fields if fields else b""), event["sequence_number"]))
