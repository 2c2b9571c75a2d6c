"""The catalog compiled for lookups: one dict access for a known model ID, one more for a pattern."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tokenbus_router.catalog import PATTERN_END, Catalog, ModelEntry, ProviderEntry, TargetEntry, targets_of
from tokenbus_router.rules import RuleBook, Rules
from tokenbus_schemas.control import ModelList
from tokenbus_schemas.requests import Api
from tokenbus_schemas.subjects import Pool
from tokenbus_schemas.work import ProviderRow, ProviderTable, Strategy, Target
from tokenbus_translate import ChatDialect, ResponsesDialect


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may answer, before the request has decided which of its APIs is called."""

    provider: str
    targets: Mapping[Api, Target]
    """By the APIs that the catalog allows here, preferred first."""
    rules: Rules
    """Which parameters the model takes there."""
    chat: ChatDialect
    responses: ResponsesDialect


@dataclass(frozen=True, slots=True)
class Found:
    """A model ID that the catalog knows."""

    candidates: tuple[Candidate, ...]
    strategy: Strategy = "ordered"


@dataclass(frozen=True, slots=True)
class _Place:
    """One target of an entry: all about it but the model's name, which a pattern does not know."""

    provider: str
    model: str | None
    fields: Mapping[str, object]
    """Those of a `Target` that do not depend on the request."""
    apis: tuple[Api, ...]
    chat: ChatDialect
    responses: ResponsesDialect

    def candidate(self, model_id: str, *, book: RuleBook) -> Candidate:
        name = self.model or model_id.partition("/")[2]
        targets: dict[Api, Target] = {
            api: Target.model_validate({**self.fields, "model": name, "api": api}) for api in self.apis
        }
        rules = book.rules_for(provider=self.provider, names=(model_id, name))
        return Candidate(self.provider, targets, rules, self.chat, self.responses)


@dataclass(frozen=True, slots=True)
class Family:
    """A pattern: whoever serves all models of a family, by the names they are asked for."""

    places: tuple[_Place, ...]
    strategy: Strategy
    book: RuleBook

    def found(self, model_id: str) -> Found:
        return Found(tuple(place.candidate(model_id, book=self.book) for place in self.places), self.strategy)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Who serves which model ID."""

    exact: Mapping[str, Found]
    families: Mapping[str, Family]
    """Patterns, by the family that stands before `/*`."""
    providers: frozenset[str]

    def find(self, model_id: str) -> Found | None:
        """The entry of a model ID or alias; else the pattern of its family; else None."""
        found = self.exact.get(model_id)
        if found is not None:
            return found
        name, _, rest = model_id.partition("/")
        family = self.families.get(name)
        return family.found(model_id) if family is not None and rest else None


def compile_table(catalog: Catalog) -> RoutingTable:
    """The routing table of a catalog that was loaded, and so checked, before."""
    book = RuleBook(catalog.rules)
    exact: dict[str, Found] = {}
    families: dict[str, Family] = {}
    for model_id, entry in catalog.models.items():
        family = Family(_places(entry, catalog=catalog), entry.strategy or "ordered", book)
        if model_id.endswith(PATTERN_END):
            families[model_id.removesuffix(PATTERN_END)] = family
        else:
            exact.update(dict.fromkeys((model_id, *entry.aliases), family.found(model_id)))
    return RoutingTable(MappingProxyType(exact), MappingProxyType(families), frozenset(catalog.providers))


def _places(entry: ModelEntry, *, catalog: Catalog) -> tuple[_Place, ...]:
    return tuple(
        _place(target, entry=entry, provider=catalog.providers[target.provider]) for target in targets_of(entry)
    )


def _place(target: TargetEntry, *, entry: ModelEntry, provider: ProviderEntry) -> _Place:
    api = target.api or entry.api
    extra = target.model_dump(exclude_none=True, exclude={"provider", "model", "api"})
    return _Place(
        provider=target.provider,
        model=target.model,
        fields={"provider": target.provider, "pool": _pool(target.provider, entry=provider), **extra},
        apis=tuple(provider.apis) if api is None else (api,),
        chat=ChatDialect(**vars(provider.chat)),
        responses=ResponsesDialect(
            chat_parameters=frozenset(provider.responses.chat_parameters),
            keeps_plain_reasoning=provider.responses.keeps_plain_reasoning,
            min_output_tokens=provider.responses.min_output_tokens,
        ),
    )


def _pool(name: str, *, entry: ProviderEntry) -> str:
    return entry.pool or name


def provider_table(catalog: Catalog) -> ProviderTable:
    """What executors need to know of the providers; published in the catalog bucket."""
    return ProviderTable(
        providers=[
            ProviderRow.model_validate(
                {**entry.model_dump(exclude={"source"}), "name": name, "pool": _pool(name, entry=entry)}
            )
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
