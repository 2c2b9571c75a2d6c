"""Messages that can not be processed go to DEAD, with the reason, where an operator finds them (`tokenbus dead`)."""

import logging
from typing import Final

from tokenbus.bus import Bus
from tokenbus.errors import PayloadTooLargeError
from tokenbus_chassis.delivery import Delivery
from tokenbus_schemas import Subjects
from tokenbus_schemas.headers import (
    CHANNEL,
    ORIGIN,
    PAYLOAD,
    REASON,
    REQUEST_ID,
    TIMEOUT,
    TRACEPARENT,
    TRACESTATE,
    VERSION,
)

_log = logging.getLogger(__name__)

_KEPT_HEADERS: Final = (REQUEST_ID, CHANNEL, TIMEOUT, VERSION, PAYLOAD, TRACEPARENT, TRACESTATE)
"""The headers that are kept. Others may be commands to JetStream (`Nats-…`), or no header that could be sent again."""
_MAX_HEADER: Final = 256


class DeadLetters:
    """Writes those of one kind: the stream that they come from."""

    def __init__(self, bus: Bus, *, subjects: Subjects, kind: str) -> None:
        self._bus = bus
        self._subject = subjects.dead(kind)

    async def bury(self, delivery: Delivery, *, reason: str) -> None:
        """Returns when it is stored, once, however often this is repeated; then the caller acknowledges.

        `reason`: `<code>: <what is wrong>`. Raises `BusError`.
        """
        headers = {name: delivery.headers[name][:_MAX_HEADER] for name in _KEPT_HEADERS if name in delivery.headers}
        headers[REASON] = reason
        headers[ORIGIN] = delivery.subject
        message_id = ".".join(map(str, delivery.identity))
        try:
            await self._bus.publish_stored(self._subject, delivery.data, headers=headers, message_id=message_id)
        except PayloadTooLargeError:  # it just fitted before these headers
            headers[REASON] += f" (its payload of {len(delivery.data)} bytes is left out)"
            await self._bus.publish_stored(self._subject, b"", headers=headers, message_id=message_id)
        code, _, _ = reason.partition(":")
        _log.warning("a message went to the dead letters", extra={"code": code, "subject": delivery.subject})
