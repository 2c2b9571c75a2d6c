"""The executor process: `tokenbus-executor`, or `python -m tokenbus_executor`."""

import logging
import os
import sys

from tokenbus_chassis.run import run
from tokenbus_chassis.settings import read_settings
from tokenbus_executor.app import executing
from tokenbus_executor.keys import Keyring
from tokenbus_executor.settings import ExecutorSettings


def main() -> int:
    """Run until a signal; the exit code."""
    settings = read_settings(ExecutorSettings)
    keyring = Keyring(os.environ)
    # At INFO it has a line for every request that the SDK writes for us (`upstreams/heads.py`).
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return run("executor", lambda bus: executing(bus, settings=settings, keyring=keyring), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
