"""What a client may be told about its times and limits."""

from dataclasses import dataclass, field
from typing import Literal

from tokenbus.inbox import BUFFER_BYTES
from tokenbus.reader import ReadingTimes
from tokenbus_schemas import MAX_REQUEST_BYTES

OnExit = Literal["cancel", "continue"]
"""What leaving a stream before its end does to the request."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Times and limits of a client."""

    call_timeout_s: float = 5.0
    """For one `cancel()` or `models()`."""
    cancel_on_exit_s: float = 1.0
    """Leaving a stream early waits at most this long until the router has taken the cancel."""
    max_request_bytes: int = MAX_REQUEST_BYTES
    """A larger request is refused before anything is sent. Above the bus's max_payload it goes in pieces."""
    buffer_bytes: int = BUFFER_BYTES
    """Unread live bytes that one stream may hold; beyond, the stream is healed by replay."""
    times: ReadingTimes = field(default_factory=ReadingTimes)
