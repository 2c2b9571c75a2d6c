"""The gateway process: `tokenbus-gateway`, or `python -m tokenbus_gateway`."""

import gc
import os
import sys
from typing import Final

from tokenbus_chassis.run import run
from tokenbus_chassis.settings import read_settings
from tokenbus_gateway.access.access_file import AccessFile, AccessFileError, read_access_file
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.gateway import gateway
from tokenbus_gateway.settings import GatewaySettings

BAD_KEYS: Final = 2
"""Exit code: the file of keys can not be used; what is wrong stands on standard error."""


def main() -> int:
    """Run until a signal; the exit code."""
    settings = read_settings(GatewaySettings)
    try:
        path = settings.gateway_keys_file
        file = AccessFile() if path is None else read_access_file(path)
        authenticator = Authenticator(file, environment=os.environ)
    except (AccessFileError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_KEYS
    # Everything imported so far stays for good, and what a stream makes is freed by its counts of references. To look
    # for circles after every 700 objects stops all streams now and then (at 1,000: first token p99 150 ms, else 40).
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return run("gateway", lambda bus: gateway(bus, settings=settings, authenticator=authenticator), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
