"""The catalog compiled for lookups: one dict access for a known model ID, one more for a pattern."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tokenbus_router.catalog import PATTERN_END, Catalog, ModelEntry, ProviderEntry, targets_of
from tokenbus_schemas.control import ModelList
from tokenbus_schemas.requests import Api
from tokenbus_schemas.subjects import Pool
from tokenbus_schemas.work import ProviderRow, ProviderTable, Target


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may answer, before the request has decided which of its APIs is called."""

    provider: str
    model: str | None
    """The provider's name of the model; None (a pattern): the name that was asked for."""
    pool: str
    apis: tuple[Api, ...]
    """The APIs the catalog allows here, preferred first."""

    def target(self, api: Api, *, name: str) -> Target:
        return Target.model_validate(
            {"provider": self.provider, "model": self.model or name, "api": api, "pool": self.pool}
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A model ID that the catalog knows."""

    name: str
    """The ID after its first slash: a pattern's providers know the model by it."""
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Who serves which model ID."""

    exact: Mapping[str, Found]
    families: Mapping[str, tuple[Candidate, ...]]
    """Patterns, by the family that stands before `/*`."""
    providers: frozenset[str]

    def find(self, model_id: str) -> Found | None:
        """The entry of a model ID or alias; else the pattern of its family; else None."""
        found = self.exact.get(model_id)
        if found is not None:
            return found
        family, _, name = model_id.partition("/")
        candidates = self.families.get(family)
        return Found(name, candidates) if candidates is not None and name else None


def compile_table(catalog: Catalog) -> RoutingTable:
    """The routing table of a catalog that was loaded, and so checked, before."""
    exact: dict[str, Found] = {}
    families: dict[str, tuple[Candidate, ...]] = {}
    for model_id, entry in catalog.models.items():
        family, _, name = model_id.partition("/")
        if model_id.endswith(PATTERN_END):
            families[family] = _candidates(entry, catalog=catalog, name=None)
        else:
            found = Found(name, _candidates(entry, catalog=catalog, name=name))
            exact.update(dict.fromkeys((model_id, *entry.aliases), found))
    return RoutingTable(MappingProxyType(exact), MappingProxyType(families), frozenset(catalog.providers))


def _candidates(entry: ModelEntry, *, catalog: Catalog, name: str | None) -> tuple[Candidate, ...]:
    candidates: list[Candidate] = []
    for target in targets_of(entry):
        provider = catalog.providers[target.provider]
        api = target.api or entry.api
        apis = tuple(provider.apis) if api is None else (api,)
        pool = _pool(target.provider, entry=provider)
        candidates.append(Candidate(target.provider, target.model or name, pool, apis))
    return tuple(candidates)


def _pool(name: str, *, entry: ProviderEntry) -> str:
    return entry.pool or name


def provider_table(catalog: Catalog) -> ProviderTable:
    """What executors need to know of the providers; published in the catalog bucket."""
    return ProviderTable(
        providers=[
            ProviderRow.model_validate({**entry.model_dump(), "name": name, "pool": _pool(name, entry=entry)})
            for name, entry in catalog.providers.items()
        ]
    )


def pools(catalog: Catalog) -> list[Pool]:
    """The pools of all providers, each once."""
    return [Pool(name) for name in dict.fromkeys(_pool(name, entry=entry) for name, entry in catalog.providers.items())]


def model_list(catalog: Catalog) -> ModelList:
    """Every model ID, alias and pattern with its providers, in the order of the file."""
    return ModelList(
        models=[
            ModelList.Model(id=known, providers=_distinct(target.provider for target in targets_of(entry)))
            for model_id, entry in catalog.models.items()
            for known in (model_id, *entry.aliases)
        ]
    )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
