"""The catalog compiled for lookups: one dict access for a known model ID, one more for a pattern."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeVar

from tokenbus_router.budgets import BudgetBook
from tokenbus_router.catalog import PATTERN_END, Catalog, ModelEntry, ProviderEntry, TargetEntry, targets_of
from tokenbus_router.rules import RuleBook, Rules
from tokenbus_schemas.control import ModelList
from tokenbus_schemas.model_id import InvalidModelIdError, ModelId
from tokenbus_schemas.requests import Api
from tokenbus_schemas.subjects import Pool
from tokenbus_schemas.work import ProviderRow, ProviderTable, Strategy, Target
from tokenbus_translate import ChatDialect, ResponsesDialect

_Dialect = TypeVar("_Dialect", ChatDialect, ResponsesDialect)

_REMEMBERED: Final = 1_024
"""Model IDs that each pattern remembers: callers choose them."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What decides how a request can be put to a place; the same object for all places of the same nature."""

    apis: tuple[Api, ...]
    """Those the catalog allows here, preferred first."""
    rules: Rules
    """Which parameters the model takes."""
    chat: ChatDialect
    responses: ResponsesDialect


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may answer, before the request has decided which of its APIs is called."""

    provider: str
    targets: Mapping[Api, Target]
    nature: Nature


@dataclass(frozen=True, slots=True)
class Found:
    """A model ID that the catalog knows."""

    candidates: tuple[Candidate, ...]
    strategy: Strategy = "ordered"


class _Natures:
    """Makes each nature once."""

    def __init__(self, catalog: Catalog) -> None:
        self._book = RuleBook(catalog.rules)
        self._dialects: list[ChatDialect | ResponsesDialect] = []
        self._natures: dict[tuple[tuple[Api, ...], int, int, int], Nature] = {}

    def dialects(self, provider: ProviderEntry) -> tuple[ChatDialect, ResponsesDialect]:
        chat = ChatDialect(**vars(provider.chat))
        responses = ResponsesDialect(
            chat_parameters=frozenset(provider.responses.chat_parameters),
            keeps_plain_reasoning=provider.responses.keeps_plain_reasoning,
            min_output_tokens=provider.responses.min_output_tokens,
        )
        return self._once(chat), self._once(responses)

    def nature(self, place: "_Place", *, names: tuple[str, str]) -> Nature:
        rules = self._book.rules_for(provider=place.provider, names=names)
        key = (place.apis, id(rules), id(place.chat), id(place.responses))
        known = self._natures.get(key)
        if known is None:
            known = self._natures[key] = Nature(place.apis, rules, place.chat, place.responses)
        return known

    def _once(self, dialect: _Dialect) -> _Dialect:
        for known in self._dialects:
            if isinstance(known, type(dialect)) and known == dialect:
                return known
        self._dialects.append(dialect)
        return dialect


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

    def candidate(self, model_id: str, *, natures: _Natures, budgets: BudgetBook) -> Candidate:
        name = self.model or model_id.partition("/")[2]
        usual = budgets.of(self.provider, names=(model_id, name))
        targets: dict[Api, Target] = {
            api: Target.model_validate({**usual, **self.fields, "model": name, "api": api}) for api in self.apis
        }
        return Candidate(self.provider, targets, natures.nature(self, names=(model_id, name)))


@dataclass(frozen=True, slots=True)
class _Family:
    """An entry: whoever serves a model, or all models of a family, by the names they are asked for."""

    places: tuple[_Place, ...]
    strategy: Strategy
    natures: _Natures
    budgets: BudgetBook

    def find(self, model_id: str) -> Found | None:
        """As a pattern: None for what is no model ID."""
        try:
            ModelId.parse(model_id)
        except InvalidModelIdError:
            return None
        return self.found(model_id)

    def found(self, model_id: str) -> Found:
        candidates = tuple(
            place.candidate(model_id, natures=self.natures, budgets=self.budgets) for place in self.places
        )
        return Found(candidates, self.strategy)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Who serves which model ID."""

    exact: Mapping[str, Found]
    families: Mapping[str, Callable[[str], Found | None]]
    """Patterns, by the family that stands before `/*`: they make what is found for a model ID."""
    providers: frozenset[str]

    def find(self, model_id: str) -> Found | None:
        """The entry of a model ID or alias; else the pattern of its family; else None."""
        found = self.exact.get(model_id)
        if found is not None:
            return found
        name, _, rest = model_id.partition("/")
        family = self.families.get(name)
        return family(model_id) if family is not None and rest else None


def compile_table(catalog: Catalog) -> RoutingTable:
    """The routing table of a catalog that was loaded, and so checked, before."""
    natures = _Natures(catalog)
    budgets = BudgetBook(catalog)
    dialects = {name: natures.dialects(provider) for name, provider in catalog.providers.items()}
    exact: dict[str, Found] = {}
    families: dict[str, Callable[[str], Found | None]] = {}
    for model_id, entry in catalog.models.items():
        places = tuple(
            _place(target, entry=entry, provider=catalog.providers[target.provider], dialects=dialects[target.provider])
            for target in targets_of(entry)
        )
        family = _Family(places, entry.strategy or "ordered", natures, budgets)
        if model_id.endswith(PATTERN_END):
            families[model_id.removesuffix(PATTERN_END)] = lru_cache(_REMEMBERED)(family.find)
        else:
            exact.update(dict.fromkeys((model_id, *entry.aliases), family.found(model_id)))
    return RoutingTable(MappingProxyType(exact), MappingProxyType(families), frozenset(catalog.providers))


def _place(
    target: TargetEntry, *, entry: ModelEntry, provider: ProviderEntry, dialects: tuple[ChatDialect, ResponsesDialect]
) -> _Place:
    api = target.api or entry.api
    extra = target.model_dump(exclude_none=True, exclude={"provider", "model", "api"})
    chat, responses = dialects
    return _Place(
        provider=target.provider,
        model=target.model,
        fields={"provider": target.provider, "pool": _pool(target.provider, entry=provider), **extra},
        apis=tuple(provider.apis) if api is None else (api,),
        chat=chat,
        responses=responses,
    )


def _pool(name: str, *, entry: ProviderEntry) -> str:
    return entry.pool or name


def provider_table(catalog: Catalog) -> ProviderTable:
    """What executors need to know of the providers; published in the catalog bucket."""
    return ProviderTable(
        providers=[
            ProviderRow.model_validate(
                {**entry.model_dump(exclude={"sources"}), "name": name, "pool": _pool(name, entry=entry)}
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
