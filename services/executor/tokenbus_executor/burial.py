"""Work that can not be done: its request ends in `response.failed`, and the work goes to DEAD.

Whose request it is stands in the headers, so that work which kills whoever decodes it is not decoded again.
"""

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

import orjson

from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.terminal import Ended, Lost, OvertakenError, Stored
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.surroundings import Surroundings
from tokenbus_schemas import (
    DEFAULT_CHANNEL,
    Channel,
    ErrorBody,
    ErrorCode,
    InvalidTokenError,
    RequestId,
    Tenant,
    response_id,
)
from tokenbus_schemas.headers import CHANNEL
from tokenbus_schemas.subjects import channel, request_id, tenant
from tokenbus_schemas.work import ATTEMPTS_PER_HOP
from tokenbus_translate import ResponseAssembly, ResponseHead

_log = logging.getLogger(__name__)

KIND: Final = "work"
_MESSAGE_ID: Final = "Nats-Msg-Id"
_WORN_OUT: Final = ErrorBody(
    ErrorCode.ATTEMPTS_EXHAUSTED,
    "every executor that took up this request died or failed; send it again if it may pass",
)


class Named(NamedTuple):
    """Whose request some work is."""

    tenant: Tenant
    request_id: RequestId
    channel: Channel
    hop: int
    model: str = ""


class Burial:
    """Buries work."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._dead_letters = DeadLetters(around.bus, subjects=around.topology.subjects, kind=KIND)

    async def worn_out(self, delivery: Delivery) -> None:
        """It was taken up too often. Raises `BusError`."""
        await self._bury(delivery, named_in_headers(delivery.headers), error=_WORN_OUT)

    async def unreadable(self, delivery: Delivery, *, places: list[tuple[int | str, ...]]) -> None:
        """It is no work order; `places` says where not. Raises `BusError`."""
        _log.error("a work order can not be read", extra={"subject": delivery.subject, "places": places})
        named = named_in_headers(delivery.headers) or named_in_payload(delivery.data)
        error = ErrorBody(ErrorCode.INTERNAL_ERROR, f"the work order can not be read: {places[:3]}")
        await self._bury(delivery, named, error=error)

    async def _bury(self, delivery: Delivery, named: Named | None, *, error: ErrorBody) -> None:
        """The end first: whoever waits is told before anything else."""
        if named is not None:
            try:
                await self._end(delivery, named, error=error)
            except OvertakenError as overtaken:
                if overtaken.newer <= named.hop * ATTEMPTS_PER_HOP:
                    delivery.abandon()
                    return
        await self._dead_letters.bury(delivery, reason=f"{error.code}: {error.message}")
        await delivery.ack()

    async def _end(self, delivery: Delivery, named: Named, *, error: ErrorBody) -> None:
        attempt = (named.hop - 1) * ATTEMPTS_PER_HOP + min(delivery.attempt, ATTEMPTS_PER_HOP)
        terminal, subjects = self._around.terminal, self._around.topology.subjects
        before = await terminal.fence(named.tenant, named.request_id, attempt=attempt)
        publisher = EventPublisher(
            self._around.bus,
            subject=subjects.events(named.tenant, named.channel, named.request_id, attempt),
            attempt=attempt,
        )
        if isinstance(before, Ended):
            await publisher.send(before.line)
            return
        assembly = ResponseAssembly(_head(named, attempt=attempt, accepted_at=delivery.timestamp_s))
        assembly.extension = {"provider": None, "model": None, "api": None}
        last = publisher.last_words(assembly.fail(error))
        match await terminal.store(named.tenant, named.request_id, last.line, expected_sequence=before.sequence):
            case Stored():
                for message in last.messages:
                    await publisher.send(message)
            case Lost(winner=Ended(line=line)):
                await publisher.send(line)
            case Lost():
                pass  # a later attempt owns it


def named_in_headers(headers: Mapping[str, str]) -> Named | None:
    """From the message id, `<tenant>.<request>.<hop>`, and the channel; None where there is no such id."""
    asker, _, rest = headers.get(_MESSAGE_ID, "").partition(".")
    asked, _, hop = rest.partition(".")
    return _named(asker, asked, channel_name=headers.get(CHANNEL), hop=int(hop) if hop.isdecimal() else 0)


def named_in_payload(payload: bytes) -> Named | None:
    """From what can be read of a work order."""
    try:
        parsed: object = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict):
        return None
    order = cast("dict[str, object]", parsed)
    hop, model = order.get("hop", 1), order.get("model")
    named = _named(
        order.get("tenant"),
        order.get("request_id"),
        channel_name=order.get("channel"),
        hop=hop if isinstance(hop, int) else 1,
    )
    return None if named is None else named._replace(model=model if isinstance(model, str) else "")


def _named(asker: object, asked: object, *, channel_name: object, hop: int) -> Named | None:
    if not isinstance(asker, str) or not isinstance(asked, str) or hop < 1:
        return None
    try:
        answers_to = channel(channel_name) if isinstance(channel_name, str) else DEFAULT_CHANNEL
        return Named(tenant(asker), request_id(asked), answers_to, hop)
    except InvalidTokenError:
        return None


def _head(named: Named, *, attempt: int, accepted_at: float) -> ResponseHead:
    return ResponseHead(
        response_id=response_id(named.request_id),
        model=named.model,
        created_at=int(accepted_at),
        echo={},
        provider="",
        upstream_model="",
        api="responses",
        attempt=attempt,
        request_id=named.request_id,
    )
