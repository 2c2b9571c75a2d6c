"""YAML text into plain data, with the line of every value.

Stricter than PyYAML where a catalog would otherwise mean something else than its author thinks: a repeated key is an
error (PyYAML keeps the last one silently), and so are numbers that YAML 1.1 reads in another base, aliases, merge keys
and tags, which a catalog does not need and which can blow a small file up to gigabytes.
"""

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import yaml

from tokenbus_router.errors import CatalogError, CatalogProblem

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of the file to a value."""

_LOADER: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C: 10 times faster
_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset({_TAG + "str", _TAG + "timestamp"})
_VALUE_TAGS: Final = frozenset({_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"})
_PLAIN_NUMBERS: Final = {
    _TAG + "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    _TAG + "float": re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"),
}
"""In YAML 1.1, 010 is 8, 1:30 is 90 and 1_0 is 10."""
_SPECIAL: Final = frozenset({".inf", ".nan"})  # the form of a catalog refuses them by name
_MAX_DEPTH: Final = 50
"""Levels of objects and lists. The parser, and everything behind it, goes down as many calls."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Document(NamedTuple):
    """What a YAML text holds."""

    data: object
    lines: Mapping[Path, int]
    """The line, from 1, on which the value of each path starts; of a key's value, the line of the key."""
    inherited: frozenset[Path] = frozenset()
    """Paths of what the text does not say itself, because it builds on another one."""
    problems: tuple[CatalogProblem, ...] = ()
    """What is wrong with how it does that."""


def parse(text: str) -> Document:
    """Raises `CatalogError`, with the line, for text that is not one plain YAML document."""
    _check_depth(text)
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        reader = _Reader(loader)
        return Document(None if root is None else reader.value(root, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise CatalogError([CatalogProblem("", f"is not YAML: {error.problem}", line)]) from error
    except yaml.YAMLError as error:
        raise CatalogError([CatalogProblem("", f"is not YAML: {error}")]) from error
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Before anything is built of it: what is too deep ends the process, not just the parser."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                line = None if event.start_mark is None else event.start_mark.line + 1
                raise CatalogError([CatalogProblem("", f"is nested over {_MAX_DEPTH} levels deep; flatten it", line)])
    except yaml.YAMLError:
        return  # told by the parser
    except UnicodeEncodeError as error:
        raise CatalogError([CatalogProblem("", f"is not Unicode text: {error.reason}")]) from error


def show_path(path: Path) -> str:
    """`("models", "openai/x", "targets", 0)` → `models["openai/x"].targets[0]`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            shown += f".{part}" if shown else part
        else:
            shown += f"[{json.dumps(part)}]"
    return shown


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.lines: dict[Path, int] = {}
        self._loader = loader
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> object:
        line = self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._seen:  # the composer puts the same node in both places
            raise _problem(path, "is a YAML alias; write the value out", line)
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _TEXT_TAGS:
            return node.value
        if isinstance(node, yaml.ScalarNode) and node.tag in _VALUE_TAGS:
            return self._plain_value(node, path)
        raise _problem(
            path, f"has the YAML tag {node.tag.removeprefix(_TAG)!r}; write plain text, numbers, lists, keys", line
        )

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _TEXT_TAGS:
                raise _problem(path, "has a key that is no text; put it in quotes", line)
            key: str = key_node.value
            if key in result:
                first = self.lines[*path, key]
                raise _problem((*path, key), f"stands twice, first on line {first}; remove one", line)
            self.lines[*path, key] = line
            result[key] = self.value(value_node, (*path, key))
        return result

    def _plain_value(self, node: yaml.ScalarNode, path: Path) -> object:
        form = _PLAIN_NUMBERS.get(node.tag)
        if form is not None and form.fullmatch(node.value) is None and node.value.lstrip("+-").lower() not in _SPECIAL:
            raise _problem(path, "is no number that can be read; write it plainly, in decimals", self.lines[path])
        try:
            return self._loader.construct_object(node)  # pyright: ignore[reportUnknownMemberType] - the stub has no types
        except ValueError as error:
            raise _problem(path, "is no number that can be read; write it plainly", self.lines[path]) from error


def _problem(path: Path, text: str, line: int) -> CatalogError:
    return CatalogError([CatalogProblem(show_path(path), text, line)])
