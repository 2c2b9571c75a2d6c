"""What the headers of a request wish for: provider, class, time, and what happens when the client goes away.

LiveKit's names (livekit-agents 1.8.9) and ours: `Tokenbus-Timeout` and `Tokenbus-On-Disconnect`. Its ids of
room, job, agent and session become attributes of the trace. They stay out of the request's `metadata`: that goes to the
provider, and OpenAI refuses metadata on a chat request that is not stored.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from tokenbus_schemas import ErrorCode, PriorityClass, RequestError
from tokenbus_schemas.headers import MAX_TIMEOUT_S
from tokenbus_schemas.subjects import PRIORITY_CLASSES, is_priority_class

OnDisconnect = Literal["cancel", "continue"] | float
"""`continue`: the answer is finished, and can be read with GET /v1/responses/{id}, or watched if it is not stored.
A number: `cancel`, unless someone watches it again within so many seconds.
"""

_PROVIDER: Final = "x-livekit-inference-provider"
_PRIORITY: Final = "x-livekit-inference-priority"
_TIMEOUT: Final = "tokenbus-timeout"
_ON_DISCONNECT: Final = "tokenbus-on-disconnect"
_ON_DISCONNECT_SHOWN: Final = "Tokenbus-On-Disconnect"

TRACE_ATTRIBUTES: Final[Mapping[str, str]] = {
    "x-livekit-room-id": "lk.room_id",
    "x-livekit-job-id": "lk.job_id",
    "x-livekit-agent-id": "lk.agent_id",
    "x-livekit-session-id": "lk.session_id",
}
_MAX_ATTRIBUTE: Final = 256


class Wishes(NamedTuple):
    """Checked; None: nothing was said."""

    provider: str | None
    priority_class: PriorityClass | None
    timeout_s: float | None
    on_disconnect: OnDisconnect


def read_wishes(headers: Mapping[str, str]) -> Wishes:
    """`headers` have lower-case names. Raises `RequestError`, which names the header."""
    priority = headers.get(_PRIORITY)
    if priority is not None and not is_priority_class(priority):
        raise _wrong("X-LiveKit-Inference-Priority", f"one of {', '.join(PRIORITY_CLASSES)}")
    timeout = headers.get(_TIMEOUT)
    return Wishes(
        provider=headers.get(_PROVIDER) or None,
        priority_class=priority,
        timeout_s=None if timeout is None else _seconds(timeout, of="Tokenbus-Timeout"),
        on_disconnect=_on_disconnect(headers.get(_ON_DISCONNECT, "cancel")),
    )


def trace_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """What LiveKit says of the agent that asks."""
    return {name: headers[header][:_MAX_ATTRIBUTE] for header, name in TRACE_ATTRIBUTES.items() if headers.get(header)}


def _on_disconnect(text: str) -> OnDisconnect:
    if text == "cancel" or text == "continue":
        return text
    policy, _, grace = text.partition(":")
    if policy != "grace":
        raise _wrong(_ON_DISCONNECT_SHOWN, "cancel, continue or grace:<seconds>")
    return _seconds(grace, of=_ON_DISCONNECT_SHOWN)


def _seconds(text: str, *, of: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise _wrong(of, f"seconds, more than 0 and at most {MAX_TIMEOUT_S:g}")
    return seconds


def _wrong(name: str, wanted: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_HEADER, f"header {name}: must be {wanted}", param=name)
