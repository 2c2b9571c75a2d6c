"""The executor process: `tokenbus-executor`, or `python -m tokenbus_executor`."""

import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tokenbus.bus import Bus
from tokenbus_chassis.run import Parts, run
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings


def main() -> int:
    """Run until a signal; the exit code."""
    settings = ExecutorSettings()
    keyring = Keyring(os.environ)

    @asynccontextmanager
    async def open_parts(bus: Bus) -> AsyncGenerator[Parts]:
        async with executing(bus, settings=settings, keyring=keyring) as worker:
            yield Parts(workers=[worker])

    # Its line per request would name providers' URLs, and cost more than a token.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return run("executor", open_parts, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
