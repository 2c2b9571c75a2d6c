"""What the rows about models must mean: each names parameters, models and providers that exist, and counts."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from tokenbus_router.catalog import BudgetEntry, Catalog, RuleEntry
from tokenbus_router.parameters import BY_NAME
from tokenbus_router.yaml_text import Path

Broken = tuple[Path, str]


def broken_parameter_rules(catalog: Catalog, *, own_rules: int) -> Iterator[Broken]:
    """Of the file's own rules; others may name providers that this catalog does not have."""
    for index, entry in enumerate(catalog.rules[:own_rules]):
        path: Path = ("rules", index)
        for setting, problem in (
            *_parameters(entry),
            *_scope(entry, catalog=catalog),
            *_api(entry, catalog=catalog),
            *_overruled(entry, before=catalog.rules[:index]),
        ):
            yield (*path, *setting), problem


def broken_budgets(catalog: Catalog, *, own_budgets: int) -> Iterator[Broken]:
    """Of the file's own budgets."""
    for index, entry in enumerate(catalog.budgets[:own_budgets]):
        path: Path = ("budgets", index)
        if entry.first_event_timeout_s is None and entry.event_gap_timeout_s is None:
            yield path, "says nothing; add first_event_timeout_s or event_gap_timeout_s"
        for setting, problem in _scope(entry, catalog=catalog):
            yield (*path, *setting), problem


def _parameters(entry: RuleEntry) -> Iterator[Broken]:
    lists: Mapping[str, Sequence[str]] = {"take": entry.take, "refuse": entry.refuse, "given": entry.given}
    objects = {"values": entry.values, "when": entry.when}
    if not (entry.take or entry.refuse or entry.values):
        yield (), "says nothing; add take, refuse or values"
    seen: set[str] = set()
    for setting, names in (*lists.items(), *objects.items()):
        for index, name in enumerate(names):
            place: Path = (setting, index if setting in lists else name)
            if name not in BY_NAME:
                yield place, f"is no parameter; {_suggest(name, known=BY_NAME)}"
            elif setting in objects and not BY_NAME[name].has_values:
                with_values = [parameter.name for parameter in BY_NAME.values() if parameter.has_values]
                yield place, f"has no values that rules know; those that have: {', '.join(with_values)}"
            elif setting in ("take", "refuse", "values"):
                if name in seen:
                    yield place, "stands twice in this rule; remove one"
                seen.add(name)
    for setting, allowed in objects.items():
        for name, values in allowed.items():
            if not values:
                yield (setting, name), "is empty; add a value"


def _scope(entry: RuleEntry | BudgetEntry, *, catalog: Catalog) -> Iterator[Broken]:
    for setting, names in (("models", entry.models), ("providers", entry.providers)):
        if setting in entry.model_fields_set and not names:
            yield (setting,), "is empty; remove it, and the rule is about all of them"
    for index, prefix in enumerate(entry.models):
        place: Path = ("models", index)
        if not prefix or "/" in prefix or "*" in prefix:
            yield place, "must be the beginning of a name, without slash and star: gpt-5 is about openai/gpt-5-mini too"
    for index, name in enumerate(entry.providers):
        if name not in catalog.providers:
            yield ("providers", index), f"{name!r} is not a provider; {_suggest(name, known=catalog.providers)}"


def _api(entry: RuleEntry, *, catalog: Catalog) -> Iterator[Broken]:
    known = [catalog.providers[name] for name in entry.providers if name in catalog.providers]
    if entry.api is not None and known and all(entry.api not in provider.apis for provider in known):
        yield ("api",), f"has no effect: none of its providers has {entry.api}; remove the rule"


def _overruled(entry: RuleEntry, *, before: Sequence[RuleEntry]) -> Iterator[Broken]:
    """Parameters about which an earlier rule always says more."""
    for setting, names in (("take", entry.take), ("refuse", entry.refuse), ("values", entry.values)):
        for index, name in enumerate(names):
            for number, other in enumerate(before):
                if name in (*other.take, *other.refuse, *other.values) and _covers(other, entry):
                    place: Path = (setting, name if setting == "values" else index)
                    yield place, f"has no effect: rules[{number}] counts first, wherever this one does; move it up"
                    break


def _covers(other: RuleEntry, entry: RuleEntry) -> bool:
    """Whether `other` holds wherever `entry` does."""
    prefixes = tuple(other.models)
    return (
        (not prefixes or (bool(entry.models) and all(name.startswith(prefixes) for name in entry.models)))
        and (not other.providers or (bool(entry.providers) and set(entry.providers) <= set(other.providers)))
        and other.api in (None, entry.api)
        and set(other.given) <= set(entry.given)
        and all(name in entry.when and set(entry.when[name]) <= set(other.when[name]) for name in other.when)
    )


def _suggest(name: str, *, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
