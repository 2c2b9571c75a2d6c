"""The messages that a worker has in hand: heartbeaten while handlers run, handed back when these are cut short."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.delivery import Delivery

_log = logging.getLogger(__name__)

_CLEANUP_S: Final = 5.0
"""How long a cancelled handler may take to end."""


class InHand:
    """Deliveries and their handlers' tasks."""

    def __init__(self, stream: str, *, retry_delays_s: Sequence[float], left: Callable[[Delivery], None]) -> None:
        """`retry_delays_s`: by attempt, the last for all later ones. `left` is called for each that leaves."""
        self._stream = stream
        self._retry_delays_s = retry_delays_s
        self._left = left
        self._running: dict[tuple[str, int, float], tuple[Delivery, asyncio.Task[None]]] = {}
        """By identity of the message."""

    def __len__(self) -> int:
        return len(self._running)

    def find(self, arrived: Delivery) -> Delivery | None:
        """The delivery of the same message whose handler runs."""
        running, _ = self._running.get(arrived.identity, (None, None))
        return running

    def take(self, arrived: Delivery, handler: asyncio.Task[None]) -> None:
        """`handler` has begun."""
        self._running[arrived.identity] = arrived, handler

    def leave(self, current: Delivery) -> None:
        """Its handler is about to end."""
        del self._running[current.identity]
        self._left(current)

    async def heartbeat(self) -> None:
        """Tell the server that every message is still worked on."""
        try:
            for current, _ in tuple(self._running.values()):
                await current.in_progress()
        except BusError as error:
            _log.warning("cannot send heartbeats", extra={"stream": self._stream, "error": error_site(error)})

    async def hand_back(self, current: Delivery, *, delay_s: float = 0.0) -> None:
        """Let another have it, after `delay_s`."""
        try:
            await current.nak(delay_s=delay_s)
        except BusError as error:
            self.log_failure("a message could not be handed back", current, error=error_site(error))

    async def retry(self, current: Delivery) -> None:
        """Hand it back for another try, the later the more there were."""
        tries = min(current.attempt, len(self._retry_delays_s))
        await self.hand_back(current, delay_s=self._retry_delays_s[tries - 1])

    async def settle_again(self, arrived: Delivery, *, settled: Delivery) -> None:
        """A delivery of a message whose handler is about to end: what settled it was late, or lost."""
        try:
            if not await arrived.settle_as(settled):
                await self.retry(arrived)
        except BusError as error:
            self.log_failure("a message could not be settled again", arrived, error=error_site(error))

    async def finish(self, *, deadline_s: float) -> int:
        """Wait for all handlers, at most `deadline_s`, then cancel what still runs and hand its messages back; how many
        those were.
        """
        if not self._running:
            return 0
        _, late = await asyncio.wait([task for _, task in self._running.values()], timeout=deadline_s)
        for task in late:
            task.cancel()
        if late:
            _log.warning("work was cut short and handed back", extra={"stream": self._stream, "messages": len(late)})
            _, stuck = await asyncio.wait(late, timeout=_CLEANUP_S)
            if stuck:
                _log.error("handlers do not end", extra={"stream": self._stream, "messages": len(stuck)})
        for current, task in tuple(self._running.values()):
            if task.done():  # cancelled before its first step, so that it could do nothing itself
                self.leave(current)
                await self.hand_back(current)
        return len(late)

    def log_failure(self, what: str, current: Delivery, *, error: str = "") -> None:
        """By place, not by text: contents never enter logs."""
        extra = {"stream": self._stream, "subject": current.subject, "sequence": current.stream_sequence}
        _log.error(what, extra={**extra, "attempt": current.attempt, "error": error})
