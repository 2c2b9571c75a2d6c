"""Reads lines from the terminal while the event loop goes on, so that the bus connection stays alive between turns."""

import asyncio
import os
import sys
from typing import Final

_MAX_LINE_BYTES: Final = 65536


async def read_line(prompt: str) -> str | None:
    """A line as typed, without its end; None at the end of input (Ctrl-D).

    A thread in `input()` could not be cancelled, and a non-blocking stdin would make stdout non-blocking too, since a
    terminal is one open file for both. So: wait until the terminal has a whole line, then read it.
    """
    sys.stdout.write(prompt)
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    line = os.read(sys.stdin.fileno(), _MAX_LINE_BYTES)
    return line.decode(errors="replace").rstrip("\r\n") if line else None
