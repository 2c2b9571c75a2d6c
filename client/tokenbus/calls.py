"""Request/reply calls to the router's services, with their replies checked."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tokenbus.bus import Bus
from tokenbus.errors import CallRefusedError, ContractError
from tokenbus_schemas import ControlReply, ControlRequest
from tokenbus_schemas.control import CancelStatus

Reply = TypeVar("Reply", bound=BaseModel)


async def call(bus: Bus, subject: str, *, payload: bytes, reply: type[Reply], timeout_s: float) -> Reply:
    """Raises `BusError` (no answer: it may have happened) and `ContractError`."""
    message = await bus.request(subject, payload, timeout_s=timeout_s)
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
