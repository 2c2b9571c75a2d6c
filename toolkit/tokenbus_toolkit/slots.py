"""How many calls of one tool run at once, and how many may wait for that: first come, first served."""

import asyncio
from collections import deque

from tokenbus_toolkit.tool import ToolLimits


class SlotsFullError(Exception):
    """Too many calls wait already. Attribute: `waiting`."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} calls wait already")


class Slots:
    """Counts in one process."""

    def __init__(self, limits: ToolLimits) -> None:
        self.taken = 0
        self._limits = limits
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def take(self) -> asyncio.Future[None] | None:
        """None: a slot is taken. A future: one will be, once it is done; `forget` it to stop waiting.

        Raises `SlotsFullError` beyond `max_waiting`.
        """
        if self.taken < self._limits.concurrency:
            self.taken += 1
            return None
        if len(self._waiters) >= self._limits.max_waiting:
            raise SlotsFullError(len(self._waiters))
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Whoever waited does not want the slot any more, even if it has just been given."""
        if waiter.done():
            self.give_back()
        else:
            self._waiters.remove(waiter)

    def give_back(self) -> None:
        """The slot goes to whoever waits longest."""
        if self._waiters:
            self._waiters.popleft().set_result(None)
        else:
            self.taken -= 1
