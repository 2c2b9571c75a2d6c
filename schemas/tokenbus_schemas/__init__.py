"""The wire contract of Tokenbus: requests, work, events, errors, subjects and headers."""

from tokenbus_schemas.control import CatalogReport, ControlReply, ControlRequest, ModelList, StopReply
from tokenbus_schemas.cooldown import CoolDown, Standing, TargetState, cooldown_key
from tokenbus_schemas.errors import ERRORS, ErrorBody, ErrorCode, ErrorFacts, RequestError
from tokenbus_schemas.events import (
    ATTEMPT_STRIDE,
    TERMINAL_TYPES,
    Event,
    EventLine,
    MalformedEventError,
    encode,
    encode_message,
    split_message,
)
from tokenbus_schemas.headers import RequestHeaders, parse_identity, parse_request_headers
from tokenbus_schemas.model_id import InvalidModelIdError, ModelId
from tokenbus_schemas.payloads import (
    MAX_REQUEST_BYTES,
    PayloadRef,
    PayloadReply,
    parse_payload,
    parse_piece,
    refer,
)
from tokenbus_schemas.replay import ReplayPage, ReplayRequest
from tokenbus_schemas.requests import Api, ChatRequest, TokenbusOptions, check_request
from tokenbus_schemas.response import Response, ResponseErrorInfo, Usage, parse_response_id, response_id
from tokenbus_schemas.stored import StoredRequest
from tokenbus_schemas.stored_calls import ResponseCall, ResponseReply
from tokenbus_schemas.subjects import (
    DEFAULT_CHANNEL,
    DEFAULT_ROOT,
    DEFAULT_TENANT,
    PRIORITY_CLASSES,
    Channel,
    InvalidTokenError,
    Pool,
    PriorityClass,
    RequestId,
    Subjects,
    Tenant,
)
from tokenbus_schemas.work import ProviderRow, ProviderTable, Said, Target, WorkOrder

__all__ = [
    "ATTEMPT_STRIDE",
    "DEFAULT_CHANNEL",
    "DEFAULT_ROOT",
    "DEFAULT_TENANT",
    "ERRORS",
    "MAX_REQUEST_BYTES",
    "PRIORITY_CLASSES",
    "TERMINAL_TYPES",
    "Api",
    "CatalogReport",
    "Channel",
    "ChatRequest",
    "ControlReply",
    "ControlRequest",
    "CoolDown",
    "ErrorBody",
    "ErrorCode",
    "ErrorFacts",
    "Event",
    "EventLine",
    "InvalidModelIdError",
    "InvalidTokenError",
    "MalformedEventError",
    "ModelId",
    "ModelList",
    "PayloadRef",
    "PayloadReply",
    "Pool",
    "PriorityClass",
    "ProviderRow",
    "ProviderTable",
    "ReplayPage",
    "ReplayRequest",
    "RequestError",
    "RequestHeaders",
    "RequestId",
    "Response",
    "ResponseCall",
    "ResponseErrorInfo",
    "ResponseReply",
    "Said",
    "Standing",
    "StopReply",
    "StoredRequest",
    "Subjects",
    "Target",
    "TargetState",
    "Tenant",
    "TokenbusOptions",
    "Usage",
    "WorkOrder",
    "check_request",
    "cooldown_key",
    "encode",
    "encode_message",
    "parse_identity",
    "parse_payload",
    "parse_piece",
    "parse_request_headers",
    "parse_response_id",
    "refer",
    "response_id",
    "split_message",
]
