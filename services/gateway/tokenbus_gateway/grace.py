"""The time that a client which lost its connection has to come back: `Tokenbus-On-Disconnect: grace:<seconds>`.

Rules:

1. Whoever watches a response over `GET`, at any replica, serves its `watching` subject. So the replica that lost the
   client asks there: no responder means that nobody watches.
2. It looks `_LOOKS` times in the grace. Nobody at that many looks in a row: the request is cancelled. So someone who
   came back and left again has the grace anew, up to one look's time less.
3. What can not be asked (a bus that does not answer) proves no absence.
4. A replica that stops while it waits cancels nothing: the request goes on, as with `continue`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from tokenbus.bus import Bus
from tokenbus.errors import BusError, NoRespondersError

_LOOKS: Final = 10
_ASK_S: Final = 2.0


class Graces:
    """All that run in one process. Enter it once; leaving ends them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def begin(self, subject: str, *, grace_s: float, at_most_s: float, expired: Callable[[], Awaitable[None]]) -> None:
        """Call `expired` once nobody has watched for `grace_s`; never after `at_most_s`, when the request has ended.

        `subject` is the `watching` subject of the request.
        """

        async def wait() -> None:
            async with asyncio.timeout(at_most_s):
                unseen = 0
                while unseen < _LOOKS:
                    await asyncio.sleep(grace_s / _LOOKS)
                    unseen = 0 if await self._is_watched(subject) else unseen + 1
            await expired()

        async def run() -> None:
            try:
                await wait()
            except TimeoutError:
                return

        task = self._group.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _is_watched(self, subject: str) -> bool:
        try:
            await self._bus.request(subject, b"", timeout_s=_ASK_S)
        except NoRespondersError:
            return False
        except BusError:
            return True
        return True
