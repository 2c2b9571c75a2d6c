"""Numbers as a table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure; `goal` is what is aimed at, as text."""

    what: str
    value: str
    goal: str = ""


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; `values` need not be sorted. Raises `ValueError` for none."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(percent / 100 * len(ranked)) - 1))]


def table(title: str, rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [f"### {title}", "", "| what | measured | goal |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {row.goal} |" for row in rows]
    return "\n".join([*lines, ""])
