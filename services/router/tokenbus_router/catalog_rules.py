"""What the parts of a catalog must mean together: every name is defined, and every setting has an effect.

A setting without effect is a mistake that nobody sees until the day it was meant for, so it is refused as well.
"""

from collections.abc import Iterator
from difflib import get_close_matches

from tokenbus_router.catalog import PATTERN_END, Catalog, ModelEntry, targets_of
from tokenbus_router.provider_checks import broken_provider
from tokenbus_router.rule_checks import broken_budgets, broken_parameter_rules
from tokenbus_router.yaml_text import Path
from tokenbus_schemas.model_id import InvalidModelIdError, ModelId

Broken = tuple[Path, str]
"""The place and what is wrong there."""


def broken_rules(catalog: Catalog, *, own_rules: int, own_budgets: int) -> Iterator[Broken]:
    """Every broken rule of a catalog whose form is right. `own_…`: how many of its rows the file has itself."""
    for name, provider in catalog.providers.items():
        for setting, problem in broken_provider(provider):
            yield ("providers", name, *setting), problem
    yield from _limits(catalog)
    for model_id, entry in catalog.models.items():
        yield from _model_id(model_id)
        yield from _targets(model_id, entry=entry, catalog=catalog)
        yield from _strategy(model_id, entry=entry)
    yield from _aliases(catalog)
    yield from _unused_providers(catalog)
    yield from broken_parameter_rules(catalog, own_rules=own_rules)
    yield from broken_budgets(catalog, own_budgets=own_budgets)


def _limits(catalog: Catalog) -> Iterator[Broken]:
    """Requests wait for a provider in its queue: there they must stand in nobody else's way."""
    for name, entry in catalog.providers.items():
        pool = entry.pool or name
        others = [other for other, its in catalog.providers.items() if other != name and (its.pool or other) == pool]
        if entry.max_concurrent is not None and others:
            problem = f"needs a queue of its own, but {', '.join(others)} has pool {pool}, too; give one another pool"
            yield ("providers", name, "max_concurrent"), problem


def _model_id(model_id: str) -> Iterator[Broken]:
    path: Path = ("models", model_id)
    is_pattern = model_id.endswith(PATTERN_END)
    try:
        parsed = ModelId.parse(model_id.removesuffix(PATTERN_END))
    except InvalidModelIdError:
        parsed = None
    if is_pattern and (parsed is None or parsed.family is not None):
        yield path, "must be <family>/*, such as openai/*: one name, a slash and a star"
    elif not is_pattern and (parsed is None or parsed.family is None):
        yield (
            path,
            (
                "must be <family>/<name>, such as openai/gpt-4.1-mini: letters, digits and . _ : @ + - in each part; "
                "a short name is an alias of such an ID"
            ),
        )


def _targets(model_id: str, *, entry: ModelEntry, catalog: Catalog) -> Iterator[Broken]:
    path: Path = ("models", model_id)
    targets = targets_of(entry)
    seen: set[tuple[str, str | None, str | None]] = set()
    default_name = model_id.partition("/")[2]
    for index, target in enumerate(targets):
        place = (*path, "targets", index)
        key = (target.provider, target.model or default_name, target.api)
        if key in seen:
            yield place, "stands twice in this list; remove one"
        seen.add(key)
        if model_id.endswith(PATTERN_END) and target.model is not None:
            yield (*place, "model"), "has no effect on a pattern, which passes each name on; remove it"
        provider = catalog.providers.get(target.provider)
        name_place = place if isinstance(entry.targets[index], str) else (*place, "provider")
        if provider is None:
            yield name_place, f"{target.provider!r} is not a provider; {_suggest(target.provider, catalog=catalog)}"
        elif target.api is not None and target.api not in provider.apis:
            yield (*place, "api"), f"{target.provider} has no {target.api}; it has: {', '.join(provider.apis)}"
        elif target.api is None and entry.api is not None and entry.api not in provider.apis:
            yield (*path, "api"), f"{target.provider} has no {entry.api}; it has: {', '.join(provider.apis)}"
    if entry.api is not None and all(target.api is not None for target in targets):
        yield (*path, "api"), "has no effect: every target has an api of its own; remove it"


def _strategy(model_id: str, *, entry: ModelEntry) -> Iterator[Broken]:
    path: Path = ("models", model_id)
    if entry.strategy is not None and len(entry.targets) == 1:
        yield (*path, "strategy"), "has no effect: there is one target; remove it"
    for index, target in enumerate(targets_of(entry)):
        if target.weight is not None and entry.strategy != "weighted":
            yield (*path, "targets", index, "weight"), "has no effect without `strategy: weighted`; add that"


def _suggest(name: str, *, catalog: Catalog) -> str:
    close = get_close_matches(name, catalog.providers, n=1)
    return f"did you mean {close[0]}?" if close else f"defined: {', '.join(sorted(catalog.providers))}"


def _aliases(catalog: Catalog) -> Iterator[Broken]:
    owners = {model_id: model_id for model_id in catalog.models}
    for model_id, entry in catalog.models.items():
        for index, alias in enumerate(entry.aliases):
            place: Path = ("models", model_id, "aliases", index)
            if model_id.endswith(PATTERN_END):
                yield place, "has no effect: a pattern is no single model; give the alias to an entry of its own"
                continue
            if not _is_model_id(alias):
                yield place, "must be letters, digits and . _ : @ + -, in parts divided by slashes"
            elif alias in owners:
                yield place, f"{alias} already names {owners[alias]}; remove one"
            owners.setdefault(alias, model_id)


def _is_model_id(text: str) -> bool:
    try:
        ModelId.parse(text)
    except InvalidModelIdError:
        return False
    return True


def _unused_providers(catalog: Catalog) -> Iterator[Broken]:
    used = {target.provider for entry in catalog.models.values() for target in targets_of(entry)}
    for name in catalog.providers:
        if name not in used:
            problem = (
                f"has no effect: no model names it, and {name}{PATTERN_END} names others; add it there, or remove it"
            )
            yield ("providers", name), problem
