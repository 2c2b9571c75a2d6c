"""The body of a request, as far as the gateway must understand it; the rest is the router's to check.

The body is parsed once and written anew: so what was checked here (the model, above all) is what the router reads,
whatever duplicate keys a sender hides.
"""

from typing import Final, Literal, NamedTuple

import orjson

from tokenbus_schemas import ErrorCode, RequestError
from tokenbus_translate.json_value import JsonObject, as_object

Api = Literal["responses", "chat"]

_CONVERSATION: Final = {"responses": "input", "chat": "messages"}
_FOREIGN: Final = {"responses": ("messages",), "chat": ("input", "previous_response_id", "background")}


class Asked(NamedTuple):
    """What the gateway must remember of a request while it runs: not its body, of which there may be a lot."""

    model: str
    stream: bool
    include_usage: bool
    background: bool = False


def parse_body(raw: bytes | str) -> JsonObject:
    """Raises `RequestError`."""
    try:
        body = as_object(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise RequestError(ErrorCode.INVALID_JSON, "the body is not JSON; send one JSON object") from error
    if body is None:
        raise RequestError(ErrorCode.INVALID_JSON, "the body must be a JSON object with `model` and `input`")
    return body


def payload_of(body: JsonObject) -> bytes:
    """The chat request as it goes onto the bus. Raises `RequestError` where it is nested too deep."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise RequestError(ErrorCode.INVALID_VALUE, "the body is nested too deep; flatten it") from error


def take_asked(body: JsonObject, *, api: Api, provider: str | None) -> Asked:
    """What concerns the gateway; what concerns nobody behind it is taken out of `body`.

    `provider`: pinned by a header; a pin in the body is stronger. Raises `RequestError`, naming the field.
    """
    wanted = _CONVERSATION[api]
    if (foreign := next((name for name in _FOREIGN[api] if name in body), None)) is not None:
        problem = f"{foreign}: is no parameter of this endpoint; send `{wanted}`"
        raise RequestError(ErrorCode.UNKNOWN_PARAMETER, problem, param=foreign)
    stream = _flag(body.pop("stream", None), name="stream")
    options = body.pop("stream_options", None)
    if options is not None and as_object(options) is None:
        raise _wrong("stream_options", "an object")
    include_usage = _flag((as_object(options) or {}).get("include_usage"), name="stream_options.include_usage")
    if provider is not None:
        _pin(body, provider)
    background = _flag(body.get("background"), name="background")
    return Asked(model_of(body), stream, include_usage, background)


def model_of(body: JsonObject) -> str:
    """Raises `RequestError`."""
    model = body.get("model")
    if model is None:
        problem = "model: is missing; send a model ID such as openai/gpt-4.1-mini"
        raise RequestError(ErrorCode.MISSING_PARAMETER, problem, param="model")
    if not isinstance(model, str):
        raise _wrong("model", "a string")
    return model


def _pin(body: JsonObject, provider: str) -> None:
    options = body.get("tokenbus")
    if options is None:
        body["tokenbus"] = {"provider": provider}
    elif (given := as_object(options)) is not None:  # anything else is refused by the router
        body["tokenbus"] = {"provider": provider, **given}


def _flag(value: object, *, name: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(name, "true or false")


def _wrong(name: str, wanted: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_VALUE, f"{name}: must be {wanted}", param=name)
