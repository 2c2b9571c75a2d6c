"""A cancel that an awaited library swallows is raised after all."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def cancel_guard() -> Generator[None]:
    """Raises `CancelledError` at its end if the task was cancelled inside and went on, or failed, as if it were not.

    nats-py awaits every answer with `asyncio.wait_for`, which in Python 3.11 drops a cancel that comes in the same
    moment as the answer (https://github.com/python/cpython/issues/86296, mended in 3.12). A request whose reader was
    cancelled would run on, and work whose deadline has passed.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    except Exception as error:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
