"""Errors of the router.

RouterError
└── CatalogError    the catalog file can not be used; lists every problem with its place
"""

from collections.abc import Sequence
from dataclasses import dataclass


class RouterError(Exception):
    """Base of all errors of this package."""


@dataclass(frozen=True, slots=True)
class CatalogProblem:
    """One mistake in a catalog."""

    path: str
    """The place in the file: `models["openai/gpt-4o"].targets[0].provider`; empty for the file as a whole."""
    text: str
    """What is wrong there and what to do."""
    line: int | None = None
    """Line in the file, from 1, where it is known."""
    inherited: bool = False
    """Whether the place is in the default catalog, which the file builds on."""

    def __str__(self) -> str:
        place = self.path or "catalog"
        if self.inherited:
            return f"{place} (of the default catalog): {self.text}"
        return f"{place}: {self.text}" if self.line is None else f"{place} (line {self.line}): {self.text}"


class CatalogError(RouterError):
    """A catalog that can not be used. Attribute: `problems`, every mistake found, in the order of the file."""

    def __init__(self, problems: Sequence[CatalogProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
