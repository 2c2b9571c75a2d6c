"""A run in flight: a task on the event loop or a thread, watched the same way."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tokenbus_toolkit.context import ToolContext
from tokenbus_toolkit.run import AsyncRun, Run


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended: `error` or, without one, `value`."""

    value: object = None
    error: BaseException | None = None


class Work:
    """Started when made. `ended` is done when nothing of it runs any more."""

    def __init__(self, run: Run, context: ToolContext, *, group: asyncio.TaskGroup, name: str) -> None:
        self._context = context
        self._task: asyncio.Task[Finished] | None = None
        self.ended: Final[asyncio.Future[Finished]]
        if isinstance(run, AsyncRun):
            self._task = group.create_task(_contained(run.start), name=name)
            self.ended = self._task
        else:
            self.ended = _in_thread(run.start, name=name)

    def stop(self) -> None:
        """Cancels a task; a thread can only be asked: it must look at `ToolContext.stopped`."""
        self._context.stop()
        if self._task is not None:
            self._task.cancel()

    @property
    def finished(self) -> Finished | None:
        """None while it runs, and where it ended because it was cancelled."""
        if not self.ended.done() or self.ended.cancelled():
            return None
        return self.ended.result()


async def _contained(start: Callable[[], Awaitable[object]]) -> Finished:
    """A tool's exception ends its call and no other: it is a value here. `sys.exit` in a tool ends no host."""
    try:
        return Finished(await start())
    except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise  # of the event loop's making
    except BaseException as error:  # noqa: BLE001 - the outermost edge of foreign code
        return Finished(error=error)


def _in_thread(start: Callable[[], object], *, name: str) -> asyncio.Future[Finished]:
    """A thread of its own: slots bound their number. A daemon: a stuck one does not keep the process alive."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Finished] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(finished: Finished) -> None:
        if not ended.done():
            ended.set_result(finished)

    def body() -> None:
        try:
            finished = Finished(context.run(start))
        except BaseException as error:  # noqa: BLE001 - the outermost edge of foreign code
            finished = Finished(error=error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, finished)

    threading.Thread(target=body, name=name, daemon=True).start()
    return ended
