"""Provider keys and what else the executors' environment says of providers. Looked up here only, and never shown.

A variable NAME counts first; else NAME_FILE names a file with the value, as Kubernetes and Docker mount secrets. Such a
file is looked at again for every use, but read again only when it has changed: a rotated key needs no restart.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

_FILE_SUFFIX: Final = "_FILE"
_MAX_FILE_BYTES: Final = 65_536


class MissingValueError(Exception):
    """A variable has no usable value; the text says which, and what to do. It never holds a value."""


class _Read(NamedTuple):
    stamp: tuple[int, int, int]
    value: SecretStr


@dataclass(frozen=True, slots=True)
class Keyring:
    """Looks up what provider rows name. Built once in `__main__` from the process's environment."""

    environment: Mapping[str, str] = field(repr=False)
    _files: dict[str, _Read] = field(default_factory=dict[str, _Read], repr=False)

    def secret(self, name: str) -> SecretStr:
        """The value of a variable, or of the file its `_FILE` twin names. Raises `MissingValueError`."""
        if value := self.environment.get(name):
            return SecretStr(value)
        path = self.environment.get(name + _FILE_SUFFIX)
        if not path:
            raise MissingValueError(f"set {name} or {name}{_FILE_SUFFIX} in the executors' environment")
        return self._from_file(path, name=name)

    def plain(self, name: str | None) -> str | None:
        """A value that is no secret, such as a base URL; None where it is not set, or no variable is named."""
        return (self.environment.get(name) or None) if name is not None else None

    def _from_file(self, path: str, *, name: str) -> SecretStr:
        place = f"the file that {name}{_FILE_SUFFIX} names"
        try:
            found = os.stat(path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                content = Path(path).read_bytes()[:_MAX_FILE_BYTES].decode().strip()
                known = self._files[path] = _Read(stamp, SecretStr(content))
        except OSError as error:
            raise MissingValueError(
                f"{place} can not be read ({error.strerror}); mount it or correct the name"
            ) from error
        except UnicodeDecodeError:
            raise MissingValueError(f"{place} is not UTF-8 text; write the bare value into it") from None
        if not known.value.get_secret_value():
            raise MissingValueError(f"{place} is empty; write the bare value into it")
        return known.value
