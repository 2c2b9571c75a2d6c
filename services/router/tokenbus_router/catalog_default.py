"""The catalog that ships with the router, and what files take over from it.

extends: default    its entries, with this file's on top: settings replace settings, null removes an entry,
                    rules go before its rules
no rules            its rules: facts about models hold whoever writes the catalog
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, cast

from tokenbus_router import yaml_text
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.yaml_text import Document, Path

_SECTIONS: Final = ("providers", "models")

_Object = dict[str, object]


@cache
def default_text() -> str:
    """The file as it is. Raises `OSError`."""
    return (files("tokenbus_router") / "catalog.yaml").read_text(encoding="utf-8")


@cache
def _default() -> Mapping[str, object]:
    return cast("Mapping[str, object]", yaml_text.parse(default_text()).data)


def with_default(document: Document) -> Document:
    """A file together with what it takes over. Raises `CatalogError` where it removes what is not there.

    What it says itself stays unchecked here, whatever it is.
    """
    data = document.data
    if not isinstance(data, dict):
        return document
    own = cast("_Object", data)
    default, merged = _default(), dict(own)
    inherited: set[Path] = set()
    if own.get("extends") == "default":
        for section in _SECTIONS:
            given = own.get(section, {})
            if isinstance(given, dict):
                base = _without_removed(section, cast("_Object", given), default=default, document=document)
                kept = {name: entry for name, entry in cast("_Object", given).items() if entry is not None}
                merged[section] = _merged(base, kept, path=(section,), inherited=inherited)
    rules = own.get("rules", [])
    if ("rules" not in own or own.get("extends") == "default") and isinstance(rules, list):
        own_rules, more = cast("list[object]", rules), cast("list[object]", default["rules"])
        merged["rules"] = [*own_rules, *more]
        inherited.update(("rules", len(own_rules) + index) for index in range(len(more)))
    return document._replace(data=merged, inherited=frozenset(inherited))


def _without_removed(section: str, given: _Object, *, default: Mapping[str, object], document: Document) -> _Object:
    base = dict(cast("_Object", default[section]))
    for name, entry in given.items():
        if entry is None and base.pop(name, None) is None:
            path: Path = (section, name)
            problem = "removes nothing: the default catalog has no such entry; write its settings, or leave it out"
            raise CatalogError([CatalogProblem(yaml_text.show_path(path), problem, document.lines.get(path))])
    return base


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
