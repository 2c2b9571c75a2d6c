"""Replay for many answers at once.

After a reconnect, or when the machine is overloaded, all answers of a gateway want a replay at the same moment. A
router that is asked faster than it answers lets every call time out, each is asked again, and it never catches up. So
only some calls are on their way at a time; the others wait here, where waiting costs nothing.
"""

import asyncio
from typing import Final

from tokenbus.bus import Bus
from tokenbus.replay import Page, Replay

AT_ONCE: Final = 16
"""Calls of one gateway process that may be on their way. A router works on 64 of all its clients together."""


class SharedReplay(Replay):
    """One answer's replay, which takes its turn."""

    def __init__(self, bus: Bus, *, subject: str, turns: asyncio.Semaphore) -> None:
        super().__init__(bus, subject=subject)
        self._turns = turns

    async def page(self, *, after: int) -> Page:
        """As `Replay.page`; its time limit begins with its turn."""
        async with self._turns:
            return await super().page(after=after)
