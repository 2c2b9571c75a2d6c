"""Request/reply calls to the router's services, with their replies checked."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from tokenbus.bus import Bus
from tokenbus.errors import CallRefusedError, ContractError, UnknownRequestError
from tokenbus_schemas import ControlReply, ControlRequest, ErrorCode, RequestId, ResponseCall, ResponseReply
from tokenbus_schemas.control import CancelStatus

Reply = TypeVar("Reply", bound=BaseModel)


class InputItems(NamedTuple):
    """A page of what was said before a response."""

    items: list[dict[str, Any]]
    """Open Responses items, each with an id."""
    more: bool
    """Further items follow the last one."""


async def call(
    bus: Bus,
    subject: str,
    *,
    payload: bytes,
    reply: type[Reply],
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Raises `BusError` (no answer: it may have happened) and `ContractError`."""
    message = await bus.request(subject, payload, headers=headers, timeout_s=timeout_s)
    try:
        return reply.model_validate_json(message.data)
    except ValidationError as error:
        raise ContractError(f"the reply of {subject}", problems=error.error_count()) from error


async def cancel(bus: Bus, subject: str, *, timeout_s: float) -> CancelStatus:
    """Ask the control service to cancel the request of `subject`. Raises as `call`, and `CallRefusedError`."""
    question = ControlRequest(action="cancel").model_dump_json().encode()
    reply = await call(bus, subject, payload=question, reply=ControlReply, timeout_s=timeout_s)
    if reply.status is None:
        raise CallRefusedError(subject, error=reply.error or {})
    return reply.status


async def stored_response(
    bus: Bus, subject: str, question: ResponseCall, *, request_id: RequestId, timeout_s: float
) -> ResponseReply:
    """Ask about the stored response of `subject`. Raises as `call`, `UnknownRequestError`, and `CallRefusedError`."""
    reply = await call(
        bus, subject, payload=question.model_dump_json().encode(), reply=ResponseReply, timeout_s=timeout_s
    )
    if reply.error is None:
        return reply
    if reply.error.get("type") == ErrorCode.RESPONSE_NOT_FOUND:
        raise UnknownRequestError(request_id)
    raise CallRefusedError(subject, error=reply.error)
