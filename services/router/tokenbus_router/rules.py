"""Which parameters a model takes: the rules of a catalog, compiled for one place that serves it.

For each parameter the first rule counts that is about it, and about the model, the provider and the API, and whose
conditions the request meets. So exceptions stand before what they are exceptions from. A parameter that no rule is
about is taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tokenbus_router.catalog import RuleEntry
from tokenbus_router.parameters import Said
from tokenbus_schemas.requests import Api


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be asked."""

    text: str
    api: Api | None
    given: tuple[str, ...]
    when: tuple[tuple[str, frozenset[str]], ...]
    refused: frozenset[str]
    values: Mapping[str, Sequence[str]]

    def holds(self, said: Mapping[str, Said], *, api: Api) -> bool:
        """Whether the rule is about this API and the request meets its conditions."""
        return (
            (self.api is None or self.api == api)
            and all(name in said for name in self.given)
            and all(name in said and said[name].value in wanted for name, wanted in self.when)
        )

    def refusal(self, name: str, said: Said) -> "Refusal | None":
        """Why the parameter is not taken; None: it is."""
        if name in self.refused:
            return Refusal(self.text)
        allowed = self.values.get(name)
        return None if allowed is None or said.value in allowed else Refusal(self.text, tuple(allowed))


class Refusal(NamedTuple):
    """A parameter that is not taken."""

    reason: str
    """As half a sentence."""
    allowed: tuple[str, ...] = ()
    """The values that would be taken, if it is only this one that is not."""


Rules = Mapping[str, tuple[Rule, ...]]
"""By the parameter that they are about, in the order of the catalog."""


class RuleBook:
    """All rules of a catalog."""

    def __init__(self, entries: Iterable[RuleEntry]) -> None:
        self._entries = [
            (tuple(entry.models), frozenset(entry.providers), (*entry.take, *entry.refuse, *entry.values), _rule(entry))
            for entry in entries
        ]
        self._found: dict[tuple[int, ...], Rules] = {}

    def rules_for(self, *, provider: str, names: Iterable[str]) -> Rules:
        """Those about a model that a provider serves. `names`: the model ID, and the provider's name of it.

        Where the same rules are found again, it is the same object.
        """
        short_names = {name.rpartition("/")[2] for name in names}
        numbers = tuple(
            number
            for number, (prefixes, providers, _, _) in enumerate(self._entries)
            if (not providers or provider in providers)
            and (not prefixes or any(name.startswith(prefixes) for name in short_names))
        )
        found = self._found.get(numbers)
        if found is None:
            found = self._found[numbers] = self._by_parameter(numbers)
        return found

    def _by_parameter(self, numbers: tuple[int, ...]) -> Rules:
        rules: dict[str, tuple[Rule, ...]] = {}
        for number in numbers:
            _, _, parameters, rule = self._entries[number]
            for parameter in parameters:
                rules[parameter] = (*rules.get(parameter, ()), rule)
        return rules


def _rule(entry: RuleEntry) -> Rule:
    return Rule(
        text=entry.rule,
        api=entry.api,
        given=tuple(entry.given),
        when=tuple((name, frozenset(values)) for name, values in entry.when.items()),
        refused=frozenset(entry.refuse),
        values=entry.values,
    )


def refusal(name: str, *, rules: Rules, said: Mapping[str, Said], api: Api) -> Refusal | None:
    """Why a parameter of the request is not taken; None: it is."""
    for rule in rules.get(name, ()):
        if rule.holds(said, api=api):
            return rule.refusal(name, said[name])
    return None
