"""Reading an answer for a client that waits for it: what comes first, what comes last, and all there is."""

from collections.abc import Awaitable, Callable, Sequence

from tokenbus_gateway.bridge import Answer
from tokenbus_gateway.sse import OPENERS, QUEUED
from tokenbus_schemas import EventLine


async def opening(answer: Answer) -> list[EventLine]:
    """The first events, up to one that decides what HTTP status the answer gets. Raises what `Reader.batch` raises.

    A background answer is good as soon as it is queued.
    """
    lines: list[EventLine] = []
    while not lines or (all(line.type in OPENERS for line in lines) and not is_queued(lines)):
        lines += await answer.reader.batch()
    return lines


def is_queued(lines: Sequence[EventLine]) -> bool:
    """Whether these are the first events of a background answer."""
    return any(line.type == QUEUED for line in lines)


async def last_event(answer: Answer) -> EventLine:
    """The terminal event; no task wakes up for the others. Raises what `Reader.batch` raises."""
    ends: list[EventLine] = []

    def keep(lines: Sequence[EventLine]) -> bool:
        if lines[-1].is_terminal:
            ends.append(lines[-1])
        return True

    await follow(answer, keep, drained=_at_once)
    return ends[0]


async def follow(
    answer: Answer, write: Callable[[Sequence[EventLine]], bool], *, drained: Callable[[], Awaitable[None]]
) -> None:
    """Hands `write` every further event; returns after the terminal one.

    `write` says whether the client keeps up; if not, nothing more is handed out until `drained` returns. Raises what
    that and `Reader.batch` raise.
    """
    reader = answer.reader
    answer.feed.open(reader.sequencer, write)
    while lines := await reader.batch():
        if not write(lines) and not lines[-1].is_terminal:
            await drained()
        answer.feed.open(reader.sequencer, write)


async def _at_once() -> None:
    return
