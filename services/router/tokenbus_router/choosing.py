"""Which of its APIs a candidate is called through, and what must be left out for that. Pure.

An API fits when it has every parameter of the request, no rule of the catalog refuses one, and the translator can say
the rest. The first that fits is taken. Where the caller allows it, parameters that stand in the way are left out, as
few as possible: then rules are asked again, because a condition of theirs may have been about what is gone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenbus_router.parameters import BY_NAME, Said, said_in_parts
from tokenbus_router.routing_table import Candidate
from tokenbus_router.rules import refusal
from tokenbus_router.sayable import unsayable
from tokenbus_schemas.errors import RequestError
from tokenbus_schemas.requests import Api, ChatRequest
from tokenbus_schemas.work import Target

JsonObject = dict[str, object]

API_NAMES: Final[Mapping[Api, str]] = {
    "responses": "the Responses API",
    "chat_completions": "the Chat Completions API",
}


class Objection(NamedTuple):
    """A parameter that stands in the way."""

    name: str
    path: str
    """Where the caller wrote it."""
    reason: str
    """Why, as half a sentence."""
    api: Api | None = None
    """The API that it needs; None: a rule about the model refuses it."""
    allowed: tuple[str, ...] = ()
    """The values that would be taken."""


class Fit(NamedTuple):
    """An API through which a candidate can be called."""

    candidate: Candidate
    target: Target
    dropped: tuple[Said, ...]
    """What is left out for it."""
    body: Mapping[str, object]
    """The request without that."""


class Misfit(NamedTuple):
    """An API through which it can not."""

    candidate: Candidate
    target: Target
    objections: tuple[Objection, ...]
    error: RequestError | None = None
    """What can not be said, where nothing is objected to."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request, and what its caller accepts."""

    request: ChatRequest
    body: Mapping[str, object]
    """In Responses' words."""
    said: Mapping[str, Said]
    api: Api | None
    may_drop: bool


def choose(candidate: Candidate, *, wish: Wish) -> Fit | list[Misfit]:
    """The best fit, or why there is none: one reason for each API that came into question."""
    said = {**wish.said, **dict(said_in_parts(wish.request, names=iter(candidate.rules)))}
    fits: list[Fit] = []
    misfits: list[Misfit] = []
    for api, target in candidate.targets.items():
        if wish.api in (None, api):
            tried = _try(candidate, target, said=said, wish=wish)
            if isinstance(tried, Misfit):
                misfits.append(tried)
            elif not tried.dropped:
                return tried
            else:
                fits.append(tried)
    return min(fits, key=lambda fit: len(fit.dropped)) if fits else misfits


def _try(candidate: Candidate, target: Target, *, said: Mapping[str, Said], wish: Wish) -> Fit | Misfit:
    left = dict(said)
    dropped: list[Said] = []
    body = wish.body
    while objections := tuple(_objections(candidate, target.api, said=left, body=body)):
        fixed = [objection for objection in objections if BY_NAME[objection.name].drop is None]
        if fixed or not wish.may_drop:
            return Misfit(candidate, target, tuple(fixed) or objections)
        dropped += [left.pop(objection.name) for objection in objections]
        body = without(body, names=[objection.name for objection in objections])
    error = unsayable(body, candidate=candidate, api=target.api)
    return Misfit(candidate, target, (), error) if error is not None else Fit(candidate, target, tuple(dropped), body)


def _objections(
    candidate: Candidate, api: Api, *, said: Mapping[str, Said], body: Mapping[str, object]
) -> Iterator[Objection]:
    for name, parameter in said.items():
        if parameter.neutral:
            continue
        only = BY_NAME[name].only
        if only is not None and only != api and name not in candidate.responses.chat_parameters:
            what = f"runs {parameter.value}" if name == "provider_tools" else "has it"
            yield Objection(name, parameter.path, f"only {API_NAMES[only]} {what}", only)
            continue
        least = candidate.responses.min_output_tokens
        if name == "max_tokens" and api == "responses" and _limit(body) < least:
            reason = f"the Responses API takes no limit below {least}"
            yield Objection(name, parameter.path, reason, "chat_completions")
            continue
        refused = refusal(name, rules=candidate.rules, said=said, api=api)
        if refused is not None:
            yield Objection(name, parameter.path, refused.reason, allowed=refused.allowed)


def _limit(body: Mapping[str, object]) -> float:
    limit = body.get("max_output_tokens")
    return limit if isinstance(limit, int) else float("inf")


def without(body: Mapping[str, object], *, names: Iterable[str]) -> JsonObject:
    """A body in Responses' words without these parameters, as far as it can do without them."""
    rest = dict(body)
    for name in names:
        drop = BY_NAME[name].drop
        if drop is not None:
            drop(rest)
    return rest
