"""Catalog text into a checked `Catalog`. Pure: whoever has the text, a file or a test, hands it in."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tokenbus_router import yaml_text
from tokenbus_router.catalog import Catalog, ModelEntry, ProviderEntry, TargetEntry
from tokenbus_router.catalog_rules import broken_rules
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.yaml_text import Document, Path

_FORMS: Final[tuple[tuple[str | None, int, type[BaseModel]], ...]] = (
    (None, 0, Catalog),
    ("providers", 2, ProviderEntry),
    ("models", 2, ModelEntry),
    ("models", 4, TargetEntry),
)
"""Which settings an object may have: the section it stands in, the length of its path, and its form."""

_NO_KEYS: Final = "must be the name of an environment variable (A-Z, 0-9 and _), never the key or address itself"


def load_catalog(text: str) -> Catalog:
    """The catalog in a YAML text.

    Raises `CatalogError`, which lists every problem with its path in the file, its line, and what to do.
    """
    document = yaml_text.parse(text)
    try:
        catalog = Catalog.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise CatalogError(_sorted(_problem(detail, document=document) for detail in details)) from error
    broken = [_placed(path, text=problem, document=document) for path, problem in broken_rules(catalog)]
    if broken:
        raise CatalogError(_sorted(iter(broken)))
    return catalog


def _sorted(problems: Iterator[CatalogProblem]) -> list[CatalogProblem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


def _placed(path: Path, *, text: str, document: Document) -> CatalogProblem:
    line = next((document.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in document.lines), None)
    return CatalogProblem(yaml_text.show_path(path), text, line)


def _problem(detail: ErrorDetails, *, document: Document) -> CatalogProblem:
    # A union names its branch inside the path, a mapping marks a bad key by a last part: neither stands in the file.
    location = detail["loc"]
    if len(location) >= 5 and location[0] == "models" and location[2] == "targets":
        location = (*location[:4], *location[5:])
    path: Path = location[:-1] if location[-1:] == ("[key]",) else location
    return _placed(path, text=_text(detail, path=path), document=document)


def _text(detail: ErrorDetails, *, path: Path) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return f"is no known setting; {_known_settings(path)}"
        case "missing":
            return "is missing; add it"
        case "string_pattern_mismatch" if str(path[-1]).endswith("_env"):
            return _NO_KEYS  # whoever writes a key here must not read it again in a log
        case "string_pattern_mismatch":
            return "must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'"
        case "too_short":
            return "is empty; add one"
        case "dict_type" | "model_type":
            return "must hold settings, each `name: value` on a line of its own"
        case _:
            return detail["msg"].replace("Input should be a valid ", "must be a ").replace("Input should", "must")


def _known_settings(path: Path) -> str:
    section, depth = path[0], len(path) - 1
    form = next(form for name, length, form in _FORMS if length == depth and name in (None, section))
    known = list(form.model_fields)
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
