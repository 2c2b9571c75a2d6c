"""The parameters of a chat request as typed keyword arguments, and the request body they make."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypedDict, cast

from tokenbus_schemas.requests import ApiChoice, Recovery

JsonObject = Mapping[str, object]

DEFAULT_RECOVERY: Final[Recovery] = "restart"
"""What this client asks for: its text view hides the rewind, its event view shows it."""


class BusParams(TypedDict, total=False):
    """What the bus adds to a request (`tokenbus_schemas.TokenbusOptions` documents each)."""

    provider: str
    api: ApiChoice
    recovery: Recovery
    on_unsupported: Literal["error", "drop"]
    max_tool_rounds: int


class RequestParams(TypedDict, total=False):
    """Every parameter of a chat request; names, ranges and meaning as in `tokenbus_schemas.ChatRequest`.

    The router checks them: what a parameter may be can grow without a new client.
    """

    model: str
    input: str | Sequence[object]
    messages: Sequence[object]
    instructions: str
    previous_response_id: str
    tools: Sequence[JsonObject]
    tool_choice: str | JsonObject
    parallel_tool_calls: bool
    max_tool_calls: int
    web_search_options: JsonObject
    temperature: float
    top_p: float
    max_output_tokens: int
    max_completion_tokens: int
    max_tokens: int
    frequency_penalty: float
    presence_penalty: float
    seed: int
    stop: str | Sequence[str]
    n: int
    logit_bias: Mapping[str, float]
    logprobs: bool
    top_logprobs: int
    prediction: JsonObject
    modalities: Sequence[str]
    audio: JsonObject
    text: JsonObject
    response_format: JsonObject
    verbosity: str
    reasoning: JsonObject
    reasoning_effort: str
    include: Sequence[str]
    truncation: Literal["auto", "disabled"]
    store: bool
    background: bool
    metadata: Mapping[str, str]
    service_tier: str
    safety_identifier: str
    user: str
    prompt_cache_key: str
    prompt_cache_retention: str
    prompt_cache_options: JsonObject
    tokenbus: BusParams


def request_body(request: JsonObject | None, params: RequestParams) -> dict[str, object]:
    """`request` with `params` laid over it."""
    return {**(request or {}), **params}


def with_recovery(body: dict[str, object], *, recovery: Recovery | None) -> dict[str, object]:
    """The body with its `tokenbus.recovery` set: to `recovery`, else as it stands there, else to our default.

    A background request has a default of its own, which is the router's; a wrong `tokenbus` is the router's to refuse.
    """
    options = body.get("tokenbus", {})
    if not isinstance(options, Mapping):
        return body
    given = cast("Mapping[str, object]", options)
    chosen = recovery or given.get("recovery") or (None if body.get("background") else DEFAULT_RECOVERY)
    return body if chosen is None else {**body, "tokenbus": {**given, "recovery": chosen}}
