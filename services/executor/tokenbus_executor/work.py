"""Takes work from the queues: one `Answer` for each delivery, acknowledged when it has ended."""

import contextlib
import logging
import time

import orjson
from pydantic import ValidationError

from tokenbus_chassis.delivery import Delivery
from tokenbus_chassis.terminal import OvertakenError
from tokenbus_executor.answer import Answer
from tokenbus_executor.burial import Burial
from tokenbus_executor.surroundings import Surroundings
from tokenbus_schemas import ErrorBody, RequestError, RequestId, Tenant, WorkOrder, parse_payload
from tokenbus_schemas.headers import PAYLOAD
from tokenbus_schemas.work import ATTEMPTS_PER_HOP

_log = logging.getLogger(__name__)


class WorkHandler:
    """Handles deliveries of WORK; calls may overlap."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._burial = Burial(around)

    async def __call__(self, delivery: Delivery) -> None:
        """Returns when the delivery is settled. Raises `BusError`; then the work is delivered again."""
        try:
            order = WorkOrder.model_validate_json(delivery.data)
        except ValidationError as error:
            places = [problem["loc"] for problem in error.errors(include_input=False)]
            await self._burial.unreadable(delivery, places=places)
            return
        started = time.monotonic()
        attempt = order.attempt_base + delivery.attempt
        fields = {"request_id": order.request_id, "tenant": order.tenant, "model": order.model, "attempt": attempt}
        unreadable: ErrorBody | None = None
        if PAYLOAD in delivery.headers:
            try:
                order = await self._whole(order, reference=delivery.headers[PAYLOAD])
            except RequestError as error:
                unreadable = error.body
        answer = Answer(order, attempt=attempt, around=self._around, headers=delivery.headers, unreadable=unreadable)
        try:
            await answer.run()
        except OvertakenError as overtaken:
            if overtaken.newer > order.hop * ATTEMPTS_PER_HOP:
                await delivery.ack()  # the work has moved to another pool, before we could say so
            else:
                # The newer delivery owns the message: an ack from this one would take it away.
                delivery.abandon()
            _log.warning("overtaken by a later attempt", extra={**fields, "newer": overtaken.newer})
            return
        await delivery.ack()
        if PAYLOAD in delivery.headers and not answer.moved:
            await self._drop(order, reference=delivery.headers[PAYLOAD])
        duration_s = round(time.monotonic() - started, 3)
        _log.info("request ended", extra={**fields, **answer.outcome, "duration_s": duration_s})

    async def _whole(self, order: WorkOrder, *, reference: str) -> WorkOrder:
        """The order with its request, which is stored apart. Raises `RequestError` where that is not to be had."""
        tenant, request_id = Tenant(order.tenant), RequestId(order.request_id)
        payload = await self._around.payloads.fetch(tenant, request_id, ref=parse_payload(reference))
        return order.model_copy(update={"request": orjson.loads(payload)})

    async def _drop(self, order: WorkOrder, *, reference: str) -> None:
        with contextlib.suppress(RequestError):
            ref = parse_payload(reference)
            await self._around.payloads.drop(Tenant(order.tenant), RequestId(order.request_id), ref=ref)
