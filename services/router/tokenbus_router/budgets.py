"""How long a model may keep silent: the budgets of a catalog, compiled for one place that serves it.

What a target says itself counts first, then its provider, then the first row about the model, then the executors'
setting. A row is a fact about a model; who limits a provider knows what the callers can wait for.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tokenbus_router.catalog import Catalog

_TIMES: Final = ("first_event_timeout_s", "event_gap_timeout_s")


class BudgetBook:
    """All budgets of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._rows = [
            (tuple(entry.models), frozenset(entry.providers), _said(vars(entry))) for entry in catalog.budgets
        ]
        self._providers = {name: frozenset(_said(vars(entry))) for name, entry in catalog.providers.items()}

    def of(self, provider: str, *, names: Iterable[str]) -> Mapping[str, float]:
        """Those of a model that a provider serves, in seconds, by the `Target`'s fields.

        `names`: the model ID, and the provider's name of it.
        """
        short_names = [name.rpartition("/")[2] for name in names]
        found: dict[str, float] = {}
        for prefixes, providers, times in self._rows:
            is_about = not prefixes or any(name.startswith(prefixes) for name in short_names)
            if is_about and (not providers or provider in providers):
                found = {**times, **found}
        return {name: seconds for name, seconds in found.items() if name not in self._providers[provider]}


def _said(fields: Mapping[str, float | None]) -> dict[str, float]:
    return {name: seconds for name in _TIMES if (seconds := fields[name]) is not None}
