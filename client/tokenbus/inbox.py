"""What has come for one reader and was not read yet: a bounded buffer between the bus callback and the reader."""

import asyncio
from typing import Final, NamedTuple

BUFFER_BYTES: Final = 1024 * 1024
"""Live bytes that one reader may leave unread: some 5,000 token events. More than that is served by replay instead."""


class Mail(NamedTuple):
    """Everything that had come when the reader looked."""

    payloads: list[bytes]
    lost: bool
    """Further messages were refused, or may have been lost on the way: ask the replay service."""


class Inbox:
    """Event messages of one answer, unread.

    When it is full it takes nothing more until the reader has emptied it, and says so: the reader reads what is there,
    then has the rest replayed. So a slow reader costs bounded memory, delays nobody else and loses nothing.
    """

    def __init__(self, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._buffer_bytes = buffer_bytes
        self._payloads: list[bytes] = []
        self._bytes = 0
        self._lost = False
        self._news = asyncio.Event()

    def put(self, payload: bytes) -> None:
        """Called by the bus for each message; never waits. One message is taken whatever its size."""
        if self._payloads and (self._lost or self._bytes + len(payload) > self._buffer_bytes):
            self._lost = True
            return
        self._payloads.append(payload)
        self._bytes += len(payload)
        self._news.set()

    def mark_lost(self) -> None:
        """Messages may have passed by unseen, as after a reconnect."""
        self._lost = True
        self._news.set()

    def take(self) -> Mail:
        """Empties the inbox."""
        mail = Mail(self._payloads, self._lost)
        self._payloads, self._bytes, self._lost = [], 0, False
        self._news.clear()
        return mail

    async def wait(self, *, until: float) -> bool:
        """True as soon as there is something to take; False at `until`, in the event loop's time."""
        if self._news.is_set():
            return True
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
