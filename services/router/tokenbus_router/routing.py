"""Which targets a request goes to, and through which API. Pure.

1. What later versions bring is refused by name.
2. The model ID gives the candidates, in the catalog's order; `tokenbus.provider` keeps those of one provider.
3. Some parts of a request exist in one API only and decide it. Two that want different APIs are refused by name.
4. Each candidate takes the first of its APIs that is still allowed; one without any falls out. If none is left, the
   field that decided the API is named.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from heapq import nlargest
from typing import Final

from tokenbus_router.api_needs import API_NAMES, ApiNeed, api_needs
from tokenbus_router.not_yet import refuse_not_yet
from tokenbus_router.routing_table import Candidate, RoutingTable
from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.model_id import InvalidModelIdError, ModelId
from tokenbus_schemas.requests import Api, ChatRequest
from tokenbus_schemas.work import Target

_WORDS: Final = re.compile("[A-Za-z]+|[0-9]+")


def route(request: ChatRequest, *, table: RoutingTable) -> tuple[Target, ...]:
    """The targets of a request in the order in which to try them, at least one.

    Raises `RequestError`, whose `param` is the field that stands in the way.
    """
    refuse_not_yet(request)
    found = table.find(request.model)
    if found is None:
        raise _model_not_found(request.model, table=table)
    candidates = _pinned(request, candidates=found.candidates, table=table)
    api, need = _decided_api(request)
    if api is None:
        return tuple(candidate.target(candidate.apis[0], name=found.name) for candidate in candidates)
    targets = tuple(candidate.target(api, name=found.name) for candidate in candidates if api in candidate.apis)
    if not targets:
        raise _api_not_offered(request, api=api, need=need, candidates=candidates)
    return targets


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


def _decided_api(request: ChatRequest) -> tuple[Api | None, ApiNeed | None]:
    """The one API the request can use, if something in it decides that, and what does; None: a wish of the caller."""
    wish: Api | None = None if request.tokenbus.api == "auto" else request.tokenbus.api
    decider: ApiNeed | None = None
    for need in api_needs(request):
        if wish is not None and need.api != wish:
            raise RequestError(
                ErrorCode.UNSUPPORTED_PARAMETER,
                f"{need.field}: {need.reason}, and tokenbus.api asks for {API_NAMES[wish]}; leave one of them out",
                param=need.field,
            )
        if decider is None:
            decider = need
        elif need.api != decider.api:
            raise RequestError(
                ErrorCode.UNSUPPORTED_PARAMETER,
                f"{decider.field}: {decider.reason}; {need.field} can not go with it: {need.reason}; "
                "leave one of them out",
                param=decider.field,
            )
    return (wish if decider is None else decider.api), decider


def _api_not_offered(
    request: ChatRequest, *, api: Api, need: ApiNeed | None, candidates: Sequence[Candidate]
) -> RequestError:
    offers = "; ".join(f"{candidate.provider}: {', '.join(candidate.apis)}" for candidate in candidates)
    nobody = f"no provider of {_short(request.model)} offers that ({offers})"
    if need is None:
        message = f"tokenbus.api: {api!r} can not be used: {nobody}; send 'auto'"
        return RequestError(ErrorCode.UNSUPPORTED_VALUE, message, param="tokenbus.api")
    message = f"{need.field}: {need.reason}, and {nobody}; leave it out"
    return RequestError(ErrorCode.UNSUPPORTED_PARAMETER, message, param=need.field)


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
