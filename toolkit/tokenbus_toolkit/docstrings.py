"""What a docstring says of a function and of its parameters: Google, NumPy or reST style. Pure text.

The description is everything before the first section. A docstring that follows no style is all description.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

_PARAMETER_SECTIONS: Final = frozenset({"args", "arguments", "parameters", "params", "other parameters"})
_OTHER_SECTIONS: Final = frozenset(
    {
        "attributes", "example", "examples", "note", "notes", "raises", "references", "return", "returns",
        "see also", "todo", "warning", "warnings", "warns", "yield", "yields",
    }
)  # fmt: skip
_GOOGLE_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY: Final = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_REST_FIELD: Final = re.compile(r":(\w+)([^:]*):\s*(.*)")
_REST_PARAMETER_FIELDS: Final = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})


class Docstring(NamedTuple):
    """`parameters`: name to text, for those it describes."""

    description: str
    parameters: Mapping[str, str]


def parse_docstring(text: str | None) -> Docstring:
    """`text` as `function.__doc__` gives it."""
    lines = inspect.cleandoc(text or "").splitlines()
    parameters: dict[str, str] = {}
    start = len(lines)
    index = 0
    while index < len(lines):
        length, section = _section(lines, index)
        if not length:
            index += 1
            continue
        start = min(start, index)
        end = index + length
        while end < len(lines) and not _section(lines, end)[0]:
            end += 1
        parameters |= section.read(lines[index:end])
        index = end
    description = "\n".join(line.rstrip() for line in lines[:start]).strip()
    return Docstring(description, {name: text for name, text in parameters.items() if text})


class _Section(NamedTuple):
    style: str
    describes_parameters: bool

    def read(self, lines: Sequence[str]) -> dict[str, str]:
        if not self.describes_parameters:
            return {}
        match self.style:
            case "google":
                return _read_google(lines[1:])
            case "numpy":
                return _read_numpy(lines[2:])
            case _:
                return _read_rest(lines)


def _section(lines: Sequence[str], index: int) -> tuple[int, _Section]:
    """How many lines the heading at `index` takes, 0 where there is none, and what it heads."""
    line = lines[index]
    title = line.rstrip(":").strip().lower()
    known = title in _PARAMETER_SECTIONS or title in _OTHER_SECTIONS
    if known and line.endswith(":") and not line.startswith(" "):
        return 1, _Section("google", title in _PARAMETER_SECTIONS)
    underlined = index + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[index + 1].strip())
    if known and underlined:
        return 2, _Section("numpy", title in _PARAMETER_SECTIONS)
    field = _REST_FIELD.match(line)
    if field is not None:
        return 1, _Section("rest", field[1] in _REST_PARAMETER_FIELDS)
    return 0, _Section("", describes_parameters=False)


def _read_google(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    indent = next((_indent(line) for line in lines if line.strip()), 0)
    for line in lines:
        if not line.strip():
            continue
        entry = _GOOGLE_ENTRY.match(line.strip()) if _indent(line) <= indent else None
        if entry is not None:
            current = found.setdefault(entry[1], [])
            current.append(entry[2])
        elif current is not None:
            current.append(line.strip())
    return {name: _joined(texts) for name, texts in found.items()}


def _read_numpy(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: tuple[str, ...] = ()
    for line in lines:
        if not line.strip():
            continue
        entry = _NUMPY_ENTRY.fullmatch(line.rstrip()) if _indent(line) == 0 else None
        if entry is not None:
            current = tuple(name.strip(" *") for name in entry[1].split(","))
        else:
            for name in current:
                found.setdefault(name, []).append(line.strip())
    return {name: _joined(texts) for name, texts in found.items()}


def _read_rest(lines: Sequence[str]) -> dict[str, str]:
    field = _REST_FIELD.match(lines[0])
    if field is None or not field[2].split():
        return {}
    return {field[2].split()[-1]: _joined([field[3], *(line.strip() for line in lines[1:])])}


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
