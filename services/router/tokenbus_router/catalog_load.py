"""Catalog text into a checked `Catalog`. Pure: whoever has the text, a file or a test, hands it in."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tokenbus_router import yaml_text
from tokenbus_router.catalog import (
    PATTERN_END,
    BudgetEntry,
    Catalog,
    ChatDialectEntry,
    ModelEntry,
    ProviderEntry,
    ResponsesDialectEntry,
    RuleEntry,
    TargetEntry,
    targets_of,
)
from tokenbus_router.catalog_default import with_default
from tokenbus_router.catalog_rules import broken_rules
from tokenbus_router.errors import CatalogError, CatalogProblem
from tokenbus_router.yaml_text import Document, Path

_FORMS: Final[tuple[tuple[Path, type[BaseModel]], ...]] = (
    ((), Catalog),
    (("providers", "*"), ProviderEntry),
    (("providers", "*", "chat"), ChatDialectEntry),
    (("providers", "*", "responses"), ResponsesDialectEntry),
    (("models", "*"), ModelEntry),
    (("models", "*", "targets", "*"), TargetEntry),
    (("rules", "*"), RuleEntry),
    (("budgets", "*"), BudgetEntry),
)
"""Which settings an object may have, by its place; `*` is any name or number."""

_NO_KEYS: Final = "must be the name of an environment variable (A-Z, 0-9 and _), never the key or address itself"


def load_catalog(text: str) -> Catalog:
    """The catalog in a YAML text, with everything that it takes over written out.

    Raises `CatalogError`, which lists every problem with its path in the file, its line, and what to do.
    """
    document = with_default(yaml_text.parse(text))
    try:
        catalog = _with_open_providers(Catalog.model_validate(document.data))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        found = [_problem(detail, document=document) for detail in details]
        raise CatalogError(_sorted([*document.problems, *found])) from error
    own_rules = [index for index in range(len(catalog.rules)) if ("rules", index) not in document.inherited]
    own_budgets = [index for index in range(len(catalog.budgets)) if ("budgets", index) not in document.inherited]
    broken = broken_rules(catalog, own_rules=len(own_rules), own_budgets=len(own_budgets))
    problems = [*document.problems, *(_placed(path, text=text, document=document) for path, text in broken)]
    if problems:
        raise CatalogError(_sorted(problems))
    return catalog.model_copy(update={"extends": None})


def _with_open_providers(catalog: Catalog) -> Catalog:
    """A provider that no model names serves whatever it is asked for under its own name."""
    named = {target.provider for entry in catalog.models.values() for target in targets_of(entry)}
    patterns = {
        name + PATTERN_END: ModelEntry(targets=[name])
        for name in catalog.providers
        if name not in named and name + PATTERN_END not in catalog.models
    }
    return catalog.model_copy(update={"models": {**catalog.models, **patterns}}) if patterns else catalog


def _sorted(problems: Iterable[CatalogProblem]) -> list[CatalogProblem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


def _placed(path: Path, *, text: str, document: Document) -> CatalogProblem:
    beginnings = [path[:end] for end in range(len(path), -1, -1)]
    if path not in document.lines and any(beginning in document.inherited for beginning in beginnings):
        return CatalogProblem(yaml_text.show_path(path), text, inherited=True)
    line = next((document.lines[beginning] for beginning in beginnings if beginning in document.lines), None)
    return CatalogProblem(yaml_text.show_path(path), text, line)


def _problem(detail: ErrorDetails, *, document: Document) -> CatalogProblem:
    # A union names its branch inside the path, a mapping marks a bad key by a last part: neither stands in the file.
    location = detail["loc"]
    if len(location) >= 5 and location[0] == "models" and location[2] == "targets":
        location = (*location[:4], *location[5:])
    path: Path = location[:-1] if location[-1:] == ("[key]",) else location
    return _placed(path, text=_text(detail, path=path), document=document)


def _text(detail: ErrorDetails, *, path: Path) -> str:
    is_variable = len(path) > 2 and (str(path[-1]).endswith("_env") or path[-2] == "header_env")
    match detail["type"]:
        case "extra_forbidden":
            return f"is no known setting; {_known_settings(path)}"
        case "missing":
            return "is missing; add it"
        case "string_pattern_mismatch" if is_variable:
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
    form = next(form for place, form in _FORMS if _is_at(path[:-1], place))
    known = list(form.model_fields)
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _is_at(path: Path, place: Path) -> bool:
    return len(path) == len(place) and all(wanted in ("*", part) for part, wanted in zip(path, place, strict=True))
