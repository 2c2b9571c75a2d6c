"""Messages that nobody can be told about go to DEAD, with the reason, where an operator finds them."""

import logging
from typing import Final

from tokenbus.bus import Bus
from tokenbus.errors import PayloadTooLargeError
from tokenbus_router.intake import Arrival
from tokenbus_schemas import ErrorBody, Subjects
from tokenbus_schemas.headers import (
    CHANNEL,
    ORIGIN,
    REASON,
    REQUEST_ID,
    TIMEOUT,
    TRACEPARENT,
    TRACESTATE,
    VERSION,
)

_log = logging.getLogger(__name__)

KIND: Final = "requests"
_KEPT_HEADERS: Final = (REQUEST_ID, CHANNEL, TIMEOUT, VERSION, TRACEPARENT, TRACESTATE)
"""The headers that are kept. Others may be commands to JetStream (`Nats-…`), or no header that could be sent again."""
_MAX_HEADER: Final = 256


class DeadLetters:
    """Writes them."""

    def __init__(self, bus: Bus, *, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def bury(self, arrival: Arrival, *, error: ErrorBody) -> None:
        """Returns when it is stored. Raises `BusError`."""
        headers = {name: arrival.headers[name][:_MAX_HEADER] for name in _KEPT_HEADERS if name in arrival.headers}
        headers[REASON] = f"{error.code}: {error.message}"
        headers[ORIGIN] = arrival.subject
        subject = self._subjects.dead(KIND)
        try:
            await self._bus.publish_stored(subject, arrival.payload, headers=headers)
        except PayloadTooLargeError:  # it just fitted before these headers
            headers[REASON] += f" (its payload of {len(arrival.payload)} bytes is left out)"
            await self._bus.publish_stored(subject, b"", headers=headers)
        _log.warning("request to dead letters", extra={"code": error.code, "subject": arrival.subject})
