"""The catalog file as it is on the disk, now and later."""

from pathlib import Path

from tokenbus_router.catalog_default import default_text
from tokenbus_router.errors import CatalogError, CatalogProblem

_Stamp = tuple[int, int, int] | None
"""What changes when a file does; None: there is no such file."""


class CatalogFile:
    """A file, or (no path) the catalog that ships with the router, which never changes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read = self._seen = self._stamp()

    @property
    def name(self) -> str:
        """For readers."""
        return "the default catalog" if self._path is None else str(self._path)

    def text(self) -> str:
        """What is in it now. Raises `CatalogError` where it can not be read."""
        self._read = self._seen = self._stamp()
        try:
            return default_text() if self._path is None else self._path.read_text(encoding="utf-8")
        except OSError as error:
            raise CatalogError([CatalogProblem("", f"can not be read: {error.strerror}")]) from error
        except UnicodeDecodeError as error:
            raise CatalogError([CatalogProblem("", f"is not UTF-8 (byte {error.start}); convert it")]) from error

    def forget(self) -> None:
        """Take it for changed at the next look."""
        self._read = (0, 0, 0)

    def has_changed(self) -> bool:
        """Whether it is another one than was read, and the same as at the last look: nobody is writing it just now."""
        before, self._seen = self._seen, self._stamp()
        return before == self._seen != self._read

    def _stamp(self) -> _Stamp:
        try:
            found = None if self._path is None else self._path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
