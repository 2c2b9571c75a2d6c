"""Which of its APIs a place is called through, and what must be left out for that. Pure.

An API fits when it has every parameter of the request, no rule of the catalog refuses one, and the translator can say
the rest. The first that fits is taken. Where the caller allows it, parameters that stand in the way are left out, as
few as possible: then rules are asked again, because a condition of theirs may have been about what is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenbus_router.parameters import BY_NAME, Said, said_in_parts
from tokenbus_router.routing_table import Nature
from tokenbus_router.rules import refusal
from tokenbus_router.sayable import unsayable
from tokenbus_schemas.errors import RequestError
from tokenbus_schemas.requests import Api, ChatRequest

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
    """An API through which a place can be called."""

    api: Api
    dropped: tuple[Said, ...]
    """What is left out for it."""
    body: Mapping[str, object]
    """The request without that."""


class Misfit(NamedTuple):
    """An API through which it can not."""

    api: Api
    objections: tuple[Objection, ...]
    error: RequestError | None = None
    """What can not be said, where nothing is objected to."""


Choice = Fit | tuple[Misfit, ...]
"""The best fit, or why there is none: one reason for each API that came into question."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request, and what its caller accepts."""

    request: ChatRequest
    body: Mapping[str, object]
    """In Responses' words."""
    said: Mapping[str, Said]
    api: Api | None
    may_drop: bool
    is_plain: bool
    """Whether both APIs are sure to be able to say it, but for its parameters."""


def choose(nature: Nature, *, wish: Wish) -> Choice:
    """How a request can be put to places of this nature."""
    parts = dict(said_in_parts(wish.request, names=nature.rules))
    said = {**wish.said, **parts} if parts else wish.said
    fits: list[Fit] = []
    misfits: list[Misfit] = []
    for api in nature.apis:
        if wish.api in (None, api):
            tried = _try(nature, api, said=said, wish=wish)
            if isinstance(tried, Misfit):
                misfits.append(tried)
            elif not tried.dropped:
                return tried
            else:
                fits.append(tried)
    return min(fits, key=lambda fit: len(fit.dropped)) if fits else tuple(misfits)


def _try(nature: Nature, api: Api, *, said: Mapping[str, Said], wish: Wish) -> Fit | Misfit:
    left = said
    dropped: tuple[Said, ...] = ()
    body = wish.body
    while objections := _objections(nature, api, said=left, body=body):
        fixed = [objection for objection in objections if BY_NAME[objection.name].drop is None]
        if fixed or not wish.may_drop:
            return Misfit(api, tuple(fixed or objections))
        names = [objection.name for objection in objections]
        dropped += tuple(left[name] for name in names)
        left = {name: parameter for name, parameter in left.items() if name not in names}
        body = without(body, names=names)
    error = None if wish.is_plain else unsayable(body, nature=nature, api=api)
    return Misfit(api, (), error) if error is not None else Fit(api, dropped, body)


def _objections(nature: Nature, api: Api, *, said: Mapping[str, Said], body: Mapping[str, object]) -> list[Objection]:
    found: list[Objection] = []
    for name, parameter in said.items():
        if parameter.neutral:
            continue
        only = BY_NAME[name].only
        if only is not None and only != api and name not in nature.responses.chat_parameters:
            what = f"runs {parameter.value}" if name == "provider_tools" else "has it"
            found.append(Objection(name, parameter.path, f"only {API_NAMES[only]} {what}", only))
        elif name == "max_tokens" and api == "responses" and _limit(body) < nature.responses.min_output_tokens:
            reason = f"the Responses API takes no limit below {nature.responses.min_output_tokens}"
            found.append(Objection(name, parameter.path, reason, "chat_completions"))
        elif name in nature.rules:
            refused = refusal(name, rules=nature.rules, said=said, api=api)
            if refused is not None:
                found.append(Objection(name, parameter.path, refused.reason, allowed=refused.allowed))
    return found


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
