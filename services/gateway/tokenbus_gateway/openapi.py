"""The OpenAPI document of the gateway, made of the wire contract's own models."""

from collections.abc import Mapping
from typing import Any, Final

from tokenbus_schemas import ChatRequest
from tokenbus_schemas.vocabulary import RESPONSE_KEYS

Json = dict[str, Any]

_RESPONSES_ONLY: Final = ("input", "previous_response_id", "background")
_CHAT_ONLY: Final = ("messages", "functions", "function_call", "response_format", "reasoning_effort")
_REFUSALS: Final[Mapping[str, str]] = {
    "400": "The request can not be taken as it is: the error names the field.",
    "401": "No key, or a wrong one.",
    "404": "No such model, provider or response.",
    "408": "The body did not come in in time.",
    "413": "The body is larger than the bus takes.",
    "429": "A limit is reached, ours or the provider's: Retry-After says when to come again.",
    "499": "The request was cancelled.",
    "500": "An error of Tokenbus itself.",
    "502": "The provider failed.",
    "503": "No target can be used, or the bus is away.",
    "504": "The request's time, or one of its budgets, is up.",
}
_ID: Final[Json] = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}


def openapi_document(version: str) -> Json:
    """OpenAPI 3.1. `version` is the gateway's."""
    request = ChatRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions: Json = request.pop("$defs", {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tokenbus gateway",
            "version": version,
            "description": "OpenAI's Responses and Chat Completions APIs over the bus. "
            "WebSocket: GET /v1/responses and /v1 with Upgrade, messages as in the Responses API.",
        },
        "security": [{"bearer": []}],
        "paths": {
            "/v1/responses": {"post": _creation("CreateResponse", "Response", events="Responses events, then [DONE]")},
            "/v1/chat/completions": {
                "post": _creation("CreateChatCompletion", "ChatCompletion", events="chunks, then [DONE]")
            },
            "/v1/models": {"get": _operation("List the models this key may use", schema="ModelList")},
            "/v1/models/{model}": {
                "get": _operation("One model", schema="Model", parameters=[{**_ID, "name": "model"}])
            },
            "/v1/responses/{response_id}": {
                "get": _operation(
                    "A response, or with stream=true its events", schema="Response", parameters=[_ID, *_STREAM_QUERY]
                ),
                "delete": _operation("Delete it; one that runs is cancelled first", schema="Deleted", parameters=[_ID]),
            },
            "/v1/responses/{response_id}/cancel": {
                "post": _operation("Cancel it, in whatever phase it is", schema="Response", parameters=[_ID])
            },
            "/v1/responses/{response_id}/input_items": {
                "get": _operation("What was said before it", schema="ItemList", parameters=[_ID, *_LIST_QUERY])
            },
            "/v1/responses/compact": {"post": _operation("Not supported yet", schema="Error")},
        },
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key of `tokenbus keys create`, or a LiveKit access token (JWT, HS256, "
                    "grant inference.perform).",
                }
            },
            "schemas": {
                **definitions,
                **_SCHEMAS,
                "CreateResponse": _without(request, _CHAT_ONLY, required=["model", "input"]),
                "CreateChatCompletion": _without(request, _RESPONSES_ONLY, required=["model", "messages"]),
            },
        },
    }


_STREAM_QUERY: Final[list[Json]] = [
    {"name": "stream", "in": "query", "schema": {"type": "boolean"}, "description": "Server-sent events."},
    {
        "name": "starting_after",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Only events with a greater sequence_number.",
    },
]
_LIST_QUERY: Final[list[Json]] = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}},
    {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"], "default": "desc"}},
    {
        "name": "after",
        "in": "query",
        "schema": {"type": "string"},
        "description": "Only what follows the item with this id.",
    },
    {
        "name": "include",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string"}},
        "description": "reasoning.encrypted_content shows sealed reasoning, too.",
    },
]
_MODEL: Final[Json] = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
    },
}
_SCHEMAS: Final[Json] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    },
    "Response": {"type": "object", "required": list(RESPONSE_KEYS), "description": "Open Responses 2026-04-24."},
    "ChatCompletion": {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"]},
    "Deleted": {
        "type": "object",
        "required": ["id", "object", "deleted"],
        "properties": {"id": {"type": "string"}, "object": {"const": "response"}, "deleted": {"const": True}},
    },
    "ItemList": {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"type": "object", "required": ["id", "type"]}},
            "first_id": {"type": ["string", "null"]},
            "last_id": {"type": ["string", "null"]},
            "has_more": {"type": "boolean"},
        },
    },
    "Model": _MODEL,
    "ModelList": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        },
    },
}


def _without(request: Json, names: tuple[str, ...], *, required: list[str]) -> Json:
    properties = {name: schema for name, schema in request["properties"].items() if name not in names}
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _creation(request: str, reply: str, *, events: str) -> Json:
    operation = _operation(f"Ask a model; with stream=true {events}", schema=reply)
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(request)}}}
    operation["responses"]["200"]["content"]["text/event-stream"] = {}
    return operation


def _operation(summary: str, *, schema: str, parameters: list[Json] | None = None) -> Json:
    answer = {"200": {"description": summary, "content": {"application/json": {"schema": _ref(schema)}}}}
    refusals = {
        status: {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}
        for status, text in _REFUSALS.items()
    }
    operation: Json = {"summary": summary, "responses": {**(answer if schema != "Error" else {}), **refusals}}
    return operation if parameters is None else {**operation, "parameters": parameters}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
