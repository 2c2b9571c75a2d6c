"""What a tool may know of the call that it runs for, and say while it runs. The model never sees any of it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from tokenbus_schemas.tools import ToolCall, ToolProgress

ProgressReporter = Callable[[ToolProgress], Awaitable[None]]


async def _unheard(progress: ToolProgress) -> None:
    del progress


class ToolContext:
    """Give a tool a parameter of this type, under any name, and it gets one. Made on the event loop."""

    def __init__(self, call: ToolCall, *, deadline: float, report: ProgressReporter = _unheard) -> None:
        """`deadline`: when the run is stopped, Unix seconds: the request's deadline or the tool's own timeout."""
        self.tenant = call.tenant
        self.request_id = call.request_id
        self.call_id = call.call_id
        """The model's id of the call."""
        self.key = call.key
        """The idempotency key: the same for every delivery of this call. Hand it to what has the effect."""
        self.deadline = deadline
        self._report = report
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.time())

    @property
    def stopped(self) -> bool:
        """The run is to end: it was cancelled, or its time is up. A sync tool must look; an async one is cancelled."""
        return self._stopped.is_set()

    async def progress(self, message: str | None = None, *, fraction: float | None = None) -> None:
        """Tell whoever watches how far the tool is; `fraction` from 0 to 1. At most ten a second are sent."""
        await self._report(ToolProgress(message=message, fraction=fraction))

    def progress_threadsafe(self, message: str | None = None, *, fraction: float | None = None) -> None:
        """`progress` for a sync tool, which runs in a thread: returns when it is sent. Not from the event loop."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("on the event loop, await ToolContext.progress() instead")
        asyncio.run_coroutine_threadsafe(self.progress(message, fraction=fraction), self._loop).result()

    def stop(self) -> None:
        """For the host: sets `stopped`."""
        self._stopped.set()
