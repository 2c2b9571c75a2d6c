"""The catalog that ships with the router, and what files take over from it.

extends: default    its entries, with this file's on top: settings replace settings, null removes an entry,
                    rules and budgets go before its own
no rules, budgets   those it has: facts about models hold whoever writes the catalog
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, cast

from tokenbus_router import yaml_text
from tokenbus_router.errors import CatalogProblem
from tokenbus_router.yaml_text import Document, Path

_SECTIONS: Final = ("providers", "models")
_LISTS: Final = ("rules", "budgets")

_Object = dict[str, object]


@cache
def default_text() -> str:
    """The file as it is. Raises `OSError`."""
    return (files("tokenbus_router") / "catalog.yaml").read_text(encoding="utf-8")


@cache
def _default() -> Mapping[str, object]:
    return cast("Mapping[str, object]", yaml_text.parse(default_text()).data)


def with_default(document: Document) -> Document:
    """A file together with what it takes over. What it says itself stays unchecked here, whatever it is."""
    data = document.data
    if not isinstance(data, dict):
        return document
    own = cast("_Object", data)
    default, merged = _default(), dict(own)
    inherited: set[Path] = set()
    problems: list[CatalogProblem] = []
    if own.get("extends") == "default":
        for section in _SECTIONS:
            given = own.get(section, {})
            if isinstance(given, dict):
                base, kept = dict(cast("_Object", default[section])), dict(cast("_Object", given))
                for name in [name for name, entry in kept.items() if entry is None]:
                    del kept[name]
                    if base.pop(name, None) is None:
                        problems.append(_removes_nothing((section, name), document=document))
                merged[section] = _merged(base, kept, path=(section,), inherited=inherited)
    for section in _LISTS:
        given = own.get(section, [])
        if (section not in own or own.get("extends") == "default") and isinstance(given, list):
            first, more = cast("list[object]", given), cast("list[object]", default[section])
            merged[section] = [*first, *more]
            inherited.update((section, len(first) + index) for index in range(len(more)))
    return document._replace(data=merged, inherited=frozenset(inherited), problems=tuple(problems))


def _removes_nothing(path: Path, *, document: Document) -> CatalogProblem:
    problem = "removes nothing: the default catalog has no such entry; write its settings, or leave it out"
    return CatalogProblem(yaml_text.show_path(path), problem, document.lines.get(path))


def _merged(base: _Object, over: _Object, *, path: Path, inherited: set[Path]) -> _Object:
    """Objects key by key; anything else is replaced. Notes in `inherited` what is from `base`."""
    merged = dict(over)
    for name, value in base.items():
        place = (*path, name)
        given = over.get(name)
        if name not in over:
            merged[name] = value
            inherited.add(place)
        elif isinstance(value, dict) and isinstance(given, dict):
            merged[name] = _merged(cast("_Object", value), cast("_Object", given), path=place, inherited=inherited)
    return merged
