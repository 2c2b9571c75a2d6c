"""Which targets a request goes to, and through which API. Pure.

1. The model ID gives the candidates, in the catalog's order; `tokenbus.provider` keeps those of one provider.
2. Each candidate takes the first of its APIs that fits (`choosing.py`); one without any falls out.
3. If none is left, the parameter that stood in the way is named.
4. Parameters are left out only if the caller asked for that, and only if no candidate takes all of them; then the
   first candidate decides which, and those that need no more left out stay behind it.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from heapq import nlargest
from typing import Final, NamedTuple

from tokenbus_router.choosing import API_NAMES, Choice, Fit, Objection, Wish, choose, without
from tokenbus_router.parameters import BY_NAME, said_in
from tokenbus_router.routing_table import Candidate, RoutingTable
from tokenbus_router.sayable import in_callers_words, is_plain
from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.model_id import InvalidModelIdError, ModelId
from tokenbus_schemas.requests import ChatRequest
from tokenbus_schemas.work import Strategy, Target

_WORDS: Final = re.compile("[A-Za-z]+|[0-9]+")


class Route(NamedTuple):
    """Where a request goes."""

    targets: tuple[Target, ...]
    """In the order in which to try them, at least one."""
    strategy: Strategy
    body: Mapping[str, object]
    """The request in Responses' words, without what was left out."""
    dropped: tuple[str, ...]
    """What was left out, as the caller wrote it."""


def route(request: ChatRequest, *, body: Mapping[str, object], table: RoutingTable) -> Route:
    """`body`: the request in Responses' words. Raises `RequestError`, whose `param` is the field in the way."""
    found = table.find(request.model)
    if found is None:
        raise _model_not_found(request.model, table=table)
    candidates = _pinned(request, candidates=found.candidates, table=table)
    options = request.tokenbus
    api = None if options.api == "auto" else options.api
    wish = Wish(request, body, said_in(request), api, options.on_unsupported == "drop", is_plain(request))
    chosen = _chosen(candidates, wish=wish)
    fits = [(candidate, choice) for candidate, choice in chosen if isinstance(choice, Fit)]
    if not fits:
        raise _none_fits(request, chosen=chosen)
    _, first = min(fits, key=lambda fit: len(fit[1].dropped) > 0)
    taken = [(candidate, fit) for candidate, fit in fits if set(fit.dropped) <= set(first.dropped)]
    idle = {
        name
        for name, said in wish.said.items()
        if said.neutral and any(name in candidate.nature.rules for candidate, _ in taken)
    }
    return Route(
        targets=tuple(candidate.targets[fit.api] for candidate, fit in taken),
        strategy=found.strategy,
        # Values that say nothing go, where a rule is about their parameter: some providers refuse even those.
        body=without(first.body, names=idle) if idle else first.body,
        dropped=tuple(said.path for said in first.dropped),
    )


def _chosen(candidates: Sequence[Candidate], *, wish: Wish) -> list[tuple[Candidate, Choice]]:
    known: dict[int, Choice] = {}  # places of one nature have one answer
    for candidate in candidates:
        if id(candidate.nature) not in known:
            known[id(candidate.nature)] = choose(candidate.nature, wish=wish)
    return [(candidate, known[id(candidate.nature)]) for candidate in candidates]


def _pinned(request: ChatRequest, *, candidates: tuple[Candidate, ...], table: RoutingTable) -> tuple[Candidate, ...]:
    pin = request.tokenbus.provider
    if pin is None:
        return candidates
    pinned = tuple(candidate for candidate in candidates if candidate.provider == pin)
    if not pinned:
        problem = f"does not serve {_short(request.model)}" if pin in table.providers else "is not in the catalog"
        served_by = ", ".join(dict.fromkeys(candidate.provider for candidate in candidates))
        raise RequestError(
            ErrorCode.PROVIDER_NOT_FOUND,
            f"tokenbus.provider: {_short(pin)!r} {problem}; its providers are: {served_by}",
            param="tokenbus.provider",
        )
    return pinned


def _none_fits(request: ChatRequest, *, chosen: Sequence[tuple[Candidate, Choice]]) -> RequestError:
    """The reason of the first candidate that has the API for the request; else what decides the API."""
    misfits = [(candidate, misfit) for candidate, choice in chosen if not isinstance(choice, Fit) for misfit in choice]
    for candidate, misfit in misfits:
        if misfit.error is not None:
            return in_callers_words(misfit.error, request=request)
        if all(objection.api is None for objection in misfit.objections):
            place = f"{_short(request.model)} ({candidate.provider}, {API_NAMES[misfit.api]})"
            return _refused_by_rule(misfit.objections[0], place=place)
    candidates = [candidate for candidate, _ in chosen]
    if not misfits:
        wanted = request.tokenbus.api
        message = f"tokenbus.api: {wanted!r} can not be used: {_nobody(request, candidates=candidates)}; send 'auto'"
        return RequestError(ErrorCode.UNSUPPORTED_VALUE, message, param="tokenbus.api")
    needs = [objection for _, misfit in misfits for objection in misfit.objections if objection.api is not None]
    return _wrong_api(request, needs=needs, candidates=candidates)


def _refused_by_rule(objection: Objection, *, place: str) -> RequestError:
    may_be_dropped = BY_NAME[objection.name].drop is not None
    fix = "leave it out, or send tokenbus.on_unsupported 'drop'" if may_be_dropped else "leave it out"
    if objection.allowed:
        code = ErrorCode.UNSUPPORTED_VALUE
        problem = f"{place} takes {', '.join(objection.allowed)}: {objection.reason}; send one of these"
    else:
        code = ErrorCode.UNSUPPORTED_PARAMETER
        problem = f"{place} does not take it: {objection.reason}"
    return RequestError(code, f"{objection.path}: {problem}; {fix}", param=objection.path)


def _wrong_api(request: ChatRequest, *, needs: Sequence[Objection], candidates: Sequence[Candidate]) -> RequestError:
    """Each candidate lacks an API for something: the first such thing, and what keeps the other API from being used."""
    # Of chat's and Responses' needs, chat's are named first: they are the ones that may be left out.
    first = min(needs, key=lambda need: need.api != "chat_completions")
    other = next((need for need in needs if need.api != first.api), None)
    if request.tokenbus.api != "auto":
        message = (
            f"{first.path}: {first.reason}, and tokenbus.api asks for {API_NAMES[request.tokenbus.api]}; "
            "leave one of them out"
        )
    elif other is not None:
        message = (
            f"{first.path}: {first.reason}; {other.path} can not go with it: {other.reason}; leave one of them out"
        )
    else:
        message = f"{first.path}: {first.reason}, and {_nobody(request, candidates=candidates)}; leave it out"
    return RequestError(ErrorCode.UNSUPPORTED_PARAMETER, message, param=first.path)


def _nobody(request: ChatRequest, *, candidates: Sequence[Candidate]) -> str:
    offers = "; ".join(f"{candidate.provider}: {', '.join(candidate.targets)}" for candidate in candidates)
    return f"no provider of {_short(request.model)} offers that ({offers})"


def _model_not_found(model: str, *, table: RoutingTable) -> RequestError:
    try:
        ModelId.parse(model)
    except InvalidModelIdError as error:
        return RequestError(ErrorCode.MODEL_NOT_FOUND, f"model: {error}", param="model")
    close = _similar(model, table=table)
    hint = f"did you mean {' or '.join(close)}?" if close else "ask for the list of models"
    return RequestError(
        ErrorCode.MODEL_NOT_FOUND, f"model: {_short(model)!r} is not in the catalog; {hint}", param="model"
    )


def _similar(model: str, *, table: RoutingTable) -> list[str]:
    # difflib alone takes 20 ms for 1,000 names, in which no other request is served: words choose what it compares.
    wanted = set(_WORDS.findall(model))
    nearest = nlargest(24, table.exact, key=lambda known: len(wanted.intersection(_WORDS.findall(known))))
    return get_close_matches(model, nearest, n=3)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
