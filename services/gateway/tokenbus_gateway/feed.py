"""What has come for one answer: an inbox for its reader, with a short way for when all is well.

While the short way is open, the bus callback itself puts events in order and hands them to whoever writes them out. No
task wakes up per token. Whatever is not plain sailing goes to the inbox, where the reader deals with it: a gap, a
malformed message, a reconnect, a client that does not keep up. Both use one `Sequencer`, and each hand-out of it is
written before anything else runs, so the order is its order.
"""

import asyncio
from collections.abc import Callable, Sequence

from tokenbus.inbox import Inbox, Mail
from tokenbus.sequencer import Sequencer
from tokenbus_schemas import EventLine, MalformedEventError, split_message

Take = Callable[[Sequence[EventLine]], bool]
"""Writes events out, at once. False: no more for now."""


class ClientGoneError(Exception):
    """The client closed its connection, or does not read any more."""


class Feed(Inbox):
    """The inbox of one answer.

    Give it to a `Reader`; `open` the short way with that reader's sequencer, again after each `Reader.batch`.
    """

    def __init__(self, *, buffer_bytes: int, silence_s: float) -> None:
        """`silence_s`: the reader's own; events that took the short way count as no silence."""
        super().__init__(buffer_bytes=buffer_bytes)
        self._silence_s = silence_s
        self._sequencer: Sequencer | None = None
        self._take: Take | None = None
        self._passed = 0
        self._client_is_gone = False

    def open(self, sequencer: Sequencer, take: Take) -> None:
        """From now on what comes goes to `take`. It closes by itself when there is something for the reader to do."""
        if sequencer.missing_after is None:
            self._sequencer, self._take = sequencer, take

    def put(self, payload: bytes) -> None:
        sequencer, take = self._sequencer, self._take
        if sequencer is None or take is None:
            super().put(payload)
            return
        try:
            lines = sequencer.feed(split_message(payload))
        except MalformedEventError:
            self._close()
            return
        self._passed += 1
        if lines and not take(lines):
            self._sequencer = self._take = None
        if sequencer.ended or sequencer.missing_after is not None:
            self._close()

    def client_gone(self) -> None:
        """Nobody reads the answer any more: whoever waits for it gets `ClientGoneError`."""
        self._client_is_gone = True
        self.mark_lost()

    def take(self) -> Mail:
        """As `Inbox.take`. Raises `ClientGoneError`."""
        if self._client_is_gone:
            raise ClientGoneError
        return super().take()

    def mark_lost(self) -> None:
        self._sequencer = self._take = None
        super().mark_lost()

    async def wait(self, *, until: float) -> bool:
        """As `Inbox.wait`, but as long as events take the short way, silence has not begun."""
        loop = asyncio.get_running_loop()
        while True:
            passed = self._passed
            if await super().wait(until=until):
                return True
            if self._passed == passed:
                return False
            until = loop.time() + self._silence_s

    def _close(self) -> None:
        """The reader is to look: at the end, at a gap, or at what may be lost."""
        self.mark_lost()
