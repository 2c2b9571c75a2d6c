"""The response resource: the object in every lifecycle event.

Open Responses (2026-04-24) requires all its keys, null where nothing is known; openai 3.54 validates their types. What
the request said is echoed, what it left out takes the API's default. `tokenbus` says who answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from tokenbus_schemas import Api, ErrorBody, Event
from tokenbus_schemas.events import FAILED
from tokenbus_schemas.vocabulary import RESPONSE_KEYS
from tokenbus_translate.json_value import JsonObject, as_object, as_objects
from tokenbus_translate.text import dumps

REQUEST_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "previous_response_id": None,
        "instructions": None,
        "tools": [],
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {},
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "temperature": 1.0,
        "reasoning": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "store": True,
        "background": False,
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }
)
"""Echoed fields and their defaults: Open Responses 2026-04-24 `ResponseResource`; values as OpenAI documents them."""

_ECHOED_IF_GIVEN: Final = ("user", "prompt_cache_retention", "prompt_cache_options")
REQUIRED_KEYS: Final = frozenset(RESPONSE_KEYS)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What is known of a response before its first token."""

    response_id: str
    model: str
    """The model ID the client asked for, such as openai/gpt-4.1-mini."""
    created_at: int
    """Unix seconds."""
    echo: Mapping[str, object]
    """The normalised request: an Open Responses body. Fields that the resource does not have are not echoed."""
    provider: str
    upstream_model: str
    api: Api
    attempt: int
    request_id: str


def response_resource(
    head: ResponseHead, *, status: str, output: list[JsonObject], facts: Mapping[str, object]
) -> JsonObject:
    """The resource with every required key. `facts` holds what the answer itself knows: usage, error, service_tier …"""
    echo = head.echo
    request = {name: default if echo.get(name) is None else echo[name] for name, default in REQUEST_DEFAULTS.items()}
    request["tools"] = [_whole_tool(tool) for tool in as_objects(request["tools"])]
    request["text"] = {"format": {"type": "text"}, **(as_object(request["text"]) or {})}
    if (reasoning := as_object(request["reasoning"])) is not None:
        request["reasoning"] = {"effort": None, "summary": None, **reasoning}
    extra = as_object(facts.get("tokenbus")) or {}
    return {
        "id": head.response_id,
        "object": "response",
        "created_at": head.created_at,
        "completed_at": None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": head.model,
        "output": output,
        "usage": None,
        **request,
        **{name: echo[name] for name in _ECHOED_IF_GIVEN if echo.get(name) is not None},
        **facts,
        "tokenbus": {
            "provider": head.provider,
            "model": head.upstream_model,
            "api": head.api,
            "attempt": head.attempt,
            "request_id": head.request_id,
            **extra,
        },
    }


def bare_failure(head: ResponseHead, error: ErrorBody) -> Event:
    """`response.failed` without output, and without the request's echo: for when an error of ours spoils all else."""
    facts = {"error": error.to_wire()}
    response = response_resource(replace(head, echo={}), status="failed", output=[], facts=facts)
    return Event(FAILED, b',"response":' + dumps(response))


def _whole_tool(tool: JsonObject) -> JsonObject:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}
