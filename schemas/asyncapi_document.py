"""The AsyncAPI 3 document, built from the subjects, headers, models and examples."""

from collections.abc import Mapping
from typing import Any, Final

from examples import EXAMPLES, PAYLOAD, REQUEST_ID
from tokenbus_schemas import DEFAULT_ROOT, PRIORITY_CLASSES
from tokenbus_schemas.headers import (
    CHANNEL,
    MAX_TIMEOUT_S,
    ORIGIN,
    PIECE,
    REASON,
    TIMEOUT,
    TIMEOUT_PATTERN,
    TRACEPARENT,
    TRACESTATE,
    VERSION,
    WIRE_VERSION,
)
from tokenbus_schemas.headers import (
    PAYLOAD as PAYLOAD_HEADER,
)
from tokenbus_schemas.headers import (
    REQUEST_ID as REQUEST_ID_HEADER,
)
from tokenbus_schemas.payloads import PAYLOAD_PATTERN, PIECE_PATTERN
from tokenbus_schemas.subjects import TOKEN_PATTERN

Document = dict[str, Any]

_TOKEN: Final[Document] = {"type": "string", "pattern": f"^{TOKEN_PATTERN}$"}
_TIMEOUT: Final[Document] = {
    "type": "string",
    "pattern": f"^{TIMEOUT_PATTERN}$",
    "description": f"Seconds, more than 0 and at most {MAX_TIMEOUT_S:g}, from the broker's timestamp.",
}
_PAYLOAD: Final[Document] = {
    "type": "string",
    "pattern": f"^{PAYLOAD_PATTERN}$",
    "description": "The payload is stored in pieces, and the message itself has none.",
    "examples": [PAYLOAD],
}
_PIECE_HEADERS: Final[Document] = {
    "type": "object",
    "required": [PAYLOAD_HEADER, PIECE],
    "properties": {
        PAYLOAD_HEADER: {**_PAYLOAD, "description": "What it is a piece of: digest and size of the whole."},
        PIECE: {
            "type": "string",
            "pattern": f"^({PIECE_PATTERN})$",
            "description": "Which piece, from 0 on. All are equally long, but for the last, which has the rest.",
        },
        TIMEOUT: {**_TIMEOUT, "description": "That of the request; the piece is kept a little longer."},
    },
}
_WORK_HEADERS: Final[Document] = {
    "type": "object",
    "properties": {PAYLOAD_HEADER: {**_PAYLOAD, "description": "The order's `request` is stored in pieces."}},
}
_REQUEST_HEADERS: Final[Document] = {
    "type": "object",
    "required": [REQUEST_ID_HEADER],
    "properties": {
        REQUEST_ID_HEADER: {**_TOKEN, "description": "Random; the response id is resp_ and this."},
        CHANNEL: {**_TOKEN, "default": "_", "description": "Where live events go: the publishing process."},
        TIMEOUT: _TIMEOUT,
        PAYLOAD_HEADER: _PAYLOAD,
        VERSION: {"type": "string", "const": WIRE_VERSION},
        TRACEPARENT: {"type": "string", "description": "W3C trace context."},
        TRACESTATE: {"type": "string", "description": "W3C trace context."},
    },
}
_PARAMETERS: Final[dict[str, Document]] = {
    "tenant": {"description": "Whose request it is.", "default": "default"},
    "class": {"description": "How urgent.", "enum": list(PRIORITY_CLASSES)},
    "request": {"description": "The request id.", "examples": [REQUEST_ID]},
    "channel": {"description": "The publishing process."},
    "attempt": {"description": "1, 2, …: each delivery to an executor."},
    "pool": {"description": "The work queue, by default the provider's name."},
    "kind": {"description": "What could not be processed."},
}


def _channel(address: str, title: str, message: str, *, description: str) -> Document:
    full = f"{DEFAULT_ROOT}.{address}"
    names = [token[1:-1] for token in address.split(".") if token.startswith("{")]
    return {
        "address": full,
        "title": title,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "parameters": {name: _PARAMETERS[name] for name in names},
    }


def _message(
    name: str, *, schema: str, summary: str, headers: Document | None = None, ndjson: bool = False
) -> Document:
    message: Document = {
        "name": name,
        "summary": summary,
        "contentType": "application/x-ndjson" if ndjson else "application/json",
        "payload": {"$ref": f"./json/{schema}.json"},
        "examples": [{"name": "example", "payload": EXAMPLES[schema]}],
    }
    if headers is not None:
        message["headers"] = headers
    return message


def _operation(action: str, channel: str, message: str, *, summary: str, reply: str | None = None) -> Document:
    operation: Document = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }
    if reply is not None:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply", "description": "The NATS reply subject."},
            "channel": {"$ref": f"#/channels/{reply}"},
        }
    return operation


def _reply_channel(message: str) -> Document:
    return {"address": None, "messages": {message: {"$ref": f"#/components/messages/{message}"}}}


def build_document(version: str) -> Mapping[str, Any]:
    """The whole document; operations are those of the Tokenbus services."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tokenbus",
            "version": version,
            "license": {"name": "Apache-2.0"},
            "description": (
                "LLM chat requests over NATS. Publish a ChatRequest, read its events, ask for replay or cancel. "
                "Events follow the OpenAI Responses stream; what Tokenbus adds is prefixed `tokenbus:`. "
                "The first subject token is configurable."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            "requests": _channel(
                "requests.{tenant}.{class}",
                "Chat requests",
                "ChatRequest",
                description=(
                    "Publish here and wait for the stream's acknowledgement: it is the acceptance. Send no header "
                    "`Nats-Msg-Id`: ids are the stream's, and would swallow another sender's request."
                ),
            ),
            "work": _channel(
                "work.{pool}.{class}.{tenant}",
                "Planned work",
                "WorkOrder",
                description="Between router and executors; services only.",
            ),
            "events": _channel(
                "events.{tenant}.{channel}.{request}.{attempt}",
                "Response events",
                "Event",
                description=(
                    "Event messages: one or more whole events, one JSON object per line, `type` and `sequence_number` "
                    "first. Capture for replay is best effort; the terminal event holds the whole response."
                ),
            ),
            "results": _channel(
                "results.{tenant}.{request}",
                "Terminal events",
                "TerminalEvent",
                description="The terminal event, once, by compare and set; services only.",
            ),
            "replay": _channel(
                "replay.{tenant}.{request}",
                "Replay",
                "ReplayRequest",
                description="Stored events after a sequence number.",
            ),
            "replayReply": _reply_channel("ReplayPage"),
            "payloads": _channel(
                "payloads.{tenant}.{request}",
                "Pieces of payloads",
                "Piece",
                description=(
                    "For a request over the bus's max_payload: store each piece here, then publish the request with "
                    "the header `Tokenbus-Payload` and no payload."
                ),
            ),
            "payloadsReply": _reply_channel("PayloadReply"),
            "control": _channel("control.{tenant}.{request}", "Control", "ControlRequest", description="Cancel by id."),
            "controlReply": _reply_channel("ControlReply"),
            "responses": _channel(
                "responses.{tenant}.{request}",
                "Stored responses",
                "ResponseCall",
                description="Read a stored response as it stands, list its input, delete it.",
            ),
            "responsesReply": _reply_channel("ResponseReply"),
            "stop": _channel(
                "stop.{tenant}.{request}",
                "Stop",
                "ControlRequest",
                description="From the router to the executor that runs the request; services only.",
            ),
            "stopReply": _reply_channel("StopReply"),
            "models": _channel("models.{tenant}", "Models", "Empty", description="The models of the catalog."),
            "modelsReply": _reply_channel("ModelList"),
            "catalog": _channel(
                "catalog", "Catalog", "Empty", description="The catalog of every router; services and operators only."
            ),
            "catalogReply": _reply_channel("CatalogReport"),
            "dead": _channel(
                "dead.{kind}",
                "Dead letters",
                "DeadLetter",
                description="What could not be processed, as it came, with the reason in its headers; services only.",
            ),
        },
        "operations": {
            "takeRequests": _operation("receive", "requests", "ChatRequest", summary="The router takes chat requests."),
            "handOnWork": _operation("send", "work", "WorkOrder", summary="The router hands on planned work."),
            "takeWork": _operation("receive", "work", "WorkOrder", summary="Executors pull work for their pools."),
            "sendEvents": _operation("send", "events", "Event", summary="The answer, as it arrives."),
            "storeResult": _operation(
                "send", "results", "TerminalEvent", summary="The end of the answer, exactly once."
            ),
            "serveReplay": _operation(
                "receive", "replay", "ReplayRequest", summary="The router serves stored events.", reply="replayReply"
            ),
            "servePayloads": _operation(
                "receive", "payloads", "Piece", summary="The router stores pieces.", reply="payloadsReply"
            ),
            "serveControl": _operation(
                "receive", "control", "ControlRequest", summary="The router cancels requests.", reply="controlReply"
            ),
            "serveResponses": _operation(
                "receive",
                "responses",
                "ResponseCall",
                summary="The router serves stored responses.",
                reply="responsesReply",
            ),
            "sendStop": _operation(
                "send", "stop", "ControlRequest", summary="The router tells the executor.", reply="stopReply"
            ),
            "serveModels": _operation(
                "receive", "models", "Empty", summary="The router lists the catalog.", reply="modelsReply"
            ),
            "serveCatalog": _operation(
                "receive", "catalog", "Empty", summary="Every router tells what it uses.", reply="catalogReply"
            ),
            "buryDead": _operation("send", "dead", "DeadLetter", summary="What could not be processed is kept."),
        },
        "components": {
            "messages": {
                "ChatRequest": _message(
                    "ChatRequest", schema="ChatRequest", summary="One chat request.", headers=_REQUEST_HEADERS
                ),
                "WorkOrder": _message(
                    "WorkOrder",
                    schema="WorkOrder",
                    summary="One validated and routed request.",
                    headers=_WORK_HEADERS,
                ),
                "Event": _message("Event", schema="Event", summary="One line of an event message.", ndjson=True),
                "TerminalEvent": _message(
                    "TerminalEvent", schema="Event", summary="completed, incomplete or failed, with the whole response."
                )
                | {"examples": [{"name": "completed", "payload": EXAMPLES["TerminalEvent"]}]},
                "ReplayRequest": _message("ReplayRequest", schema="ReplayRequest", summary="From where to replay."),
                "ReplayPage": _message("ReplayPage", schema="ReplayPage", summary="Stored events."),
                "Piece": {
                    "name": "Piece",
                    "summary": "Some bytes of a payload.",
                    "contentType": "application/octet-stream",
                    "headers": _PIECE_HEADERS,
                    "payload": {},
                },
                "PayloadReply": _message("PayloadReply", schema="PayloadReply", summary="Whether it is kept."),
                "ControlRequest": _message("ControlRequest", schema="ControlRequest", summary="What to do."),
                "ControlReply": _message("ControlReply", schema="ControlReply", summary="What came of it."),
                "ResponseCall": _message("ResponseCall", schema="ResponseCall", summary="What to do with it."),
                "ResponseReply": _message("ResponseReply", schema="ResponseReply", summary="What came of it."),
                "StopReply": _message("StopReply", schema="StopReply", summary="An executor runs it and stops."),
                "ModelList": _message("ModelList", schema="ModelList", summary="The models of the catalog."),
                "CatalogReport": _message("CatalogReport", schema="CatalogReport", summary="The catalog in use."),
                "Empty": {"name": "Empty", "summary": "No payload.", "payload": {"type": ["object", "null"]}},
                "DeadLetter": {
                    "name": "DeadLetter",
                    "summary": "The message as it came.",
                    "contentType": "application/octet-stream",
                    "headers": {
                        "type": "object",
                        "required": [REASON, ORIGIN],
                        "properties": {
                            REASON: {"type": "string", "description": "Why it could not be processed."},
                            ORIGIN: {"type": "string", "description": "The subject it came from."},
                        },
                    },
                    "payload": {},
                },
            }
        },
    }
