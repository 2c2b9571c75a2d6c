"""The file of keys while the gateway runs: what changes in it counts without a restart.

Rules:

1. A file that can not be used changes nothing: the keys stay as they were, and the log says once what is wrong.
2. A gateway with keys is never opened by a file without any: it may listen to the whole world. That takes a restart.
3. LiveKit's secrets that stand in files of their own are watched too.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tokenbus_gateway.access.access_file import AccessFileError, read_access_file
from tokenbus_gateway.access.authenticator import Authenticator

_log = logging.getLogger(__name__)

POLL_S: Final = 1.0


class _Stamp(NamedTuple):
    """Differs where a file was written or replaced; a Kubernetes secret is replaced through a symbolic link."""

    path: Path
    inode: int
    modified_ns: int
    size: int


async def follow_key_file(
    path: Path, authenticator: Authenticator, *, environment: Mapping[str, str], poll_s: float = POLL_S
) -> None:
    """Returns never. `authenticator` was made of this file."""
    seen = _stamps([path, *authenticator.secret_files])
    while True:
        await asyncio.sleep(poll_s)
        now = _stamps([path, *authenticator.secret_files])
        if now != seen:
            _read_again(path, authenticator, environment=environment)
            seen = _stamps([path, *authenticator.secret_files])


def _read_again(path: Path, authenticator: Authenticator, *, environment: Mapping[str, str]) -> None:
    try:
        authenticator.replace(read_access_file(path), environment=environment)
    except (AccessFileError, ValueError) as error:
        extra = {"keys_file": str(path), "problem": str(error)}
        _log.error("the file of keys can not be used as it is now; the keys before it stay", extra=extra)
    else:
        _log.info("read the file of keys again", extra={"keys_file": str(path), "keys": len(authenticator)})


def _stamps(paths: list[Path]) -> list[_Stamp | None]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(path, found.st_ino, found.st_mtime_ns, found.st_size)
