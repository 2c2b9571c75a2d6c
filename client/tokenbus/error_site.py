"""Where an exception was raised, without what it says: its text may quote a prompt or an answer."""

import traceback
from typing import cast


def error_site(error: BaseException) -> str:
    """For a log line: `ValueError at app.py:57 in route`. Of a group, its first error."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    kind = type(error).__name__
    if not frames:
        return kind
    last = frames[-1]
    return f"{kind} at {last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}"
