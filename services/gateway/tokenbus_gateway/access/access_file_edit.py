"""Adding an API key to the file of keys. The file is a person's: what stands in it stays as it is, comments too."""

import contextlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from tokenbus_gateway.access.access_file import AccessFileError, parse_access_file

_KEYS: Final = re.compile(r"^keys:[ \t]*(\[[ \t]*\][ \t]*)?(#.*)?$", re.MULTILINE)
_ITEM: Final = re.compile(r"(?:[ \t]*(?:#.*)?\n)*([ \t]*)- ")
"""The first row of a list, behind empty lines and comments."""


def add_key(path: Path, entry: dict[str, object]) -> None:
    """Write `entry` as the first row of `keys`; a file that does not exist is made, readable by its owner only.

    The file is replaced in one step. Raises `AccessFileError` where it, or the entry, can not be used.
    """
    try:
        text = path.read_text() if path.exists() else ""
    except OSError as error:
        raise AccessFileError(f"{path}: can not be read: {error.strerror}") from error
    parse_access_file(text, path=path)
    changed = with_key(text, entry)
    file = parse_access_file(changed, path=path)
    if entry["id"] not in {row.id for row in file.keys}:
        raise AccessFileError(f"{path}: `keys` is written in a way that no row can be added to; write it as a list")
    _replace(path, changed)


def with_key(text: str, entry: dict[str, object]) -> str:
    """The text with `entry` in front of the other keys."""
    found = _KEYS.search(text)
    if found is None:
        head = text if not text or text.endswith("\n") else f"{text}\n"
        return f"{head}keys:\n{_row(entry, indent='  ')}"
    rest = text[found.end() :].lstrip("\n")
    item = _ITEM.match(rest)
    line = text[found.start() : found.end()].replace("[", "").replace("]", "") if found[1] else found[0]
    return f"{text[: found.start()]}{line.rstrip()}\n{_row(entry, indent=item[1] if item else '  ')}{rest}"


def _row(entry: dict[str, object], *, indent: str) -> str:
    text = yaml.safe_dump(entry, sort_keys=False, default_flow_style=False, width=1000)
    lines: Sequence[str] = text.splitlines()
    return "".join(f"{indent}{'- ' if place == 0 else '  '}{line}\n" for place, line in enumerate(lines))


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise AccessFileError(f"{path.parent}: can not be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
