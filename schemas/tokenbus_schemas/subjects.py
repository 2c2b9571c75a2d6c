"""Every NATS subject of Tokenbus, built and parsed in one place.

A subject token of ours is `[A-Za-z0-9_-]{1,64}`: no dots, wildcards or spaces, so no name can reach another subject.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NewType, TypeGuard, get_args

Tenant = NewType("Tenant", str)
RequestId = NewType("RequestId", str)
Channel = NewType("Channel", str)
"""The publishing process: its live events come back on one wildcard subscription."""
Pool = NewType("Pool", str)
"""A work queue that executors serve; by default one per provider."""
Scope = NewType("Scope", str)
"""Who may call a tool: `shared`, or one tenant."""
ToolName = NewType("ToolName", str)
PriorityClass = Literal["priority", "standard", "low"]

PRIORITY_CLASSES: Final[tuple[PriorityClass, ...]] = get_args(PriorityClass)
DEFAULT_ROOT: Final = "tokenbus"
DEFAULT_TENANT: Final = Tenant("default")
DEFAULT_CHANNEL: Final = Channel("_")
TOKEN_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"  # noqa: S105 - a pattern, no password

_TOKEN: Final = re.compile(TOKEN_PATTERN, re.ASCII)
_CALLS: Final = ("replay", "control", "payloads", "responses", "stop", "due")


class InvalidTokenError(ValueError):
    """A name that can not be one subject token. Attributes: `name` (what it names), `value`."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value
        shown = value if len(value) <= 80 else value[:77] + "..."
        super().__init__(f"{name} {shown!r} must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")


def check_token(name: str, value: str) -> str:
    """`value`, unchanged. Raises `InvalidTokenError`, which names `name`, unless it is one subject token."""
    if _TOKEN.fullmatch(value) is None:
        raise InvalidTokenError(name, value)
    return value


def tenant(value: str) -> Tenant:
    """Raises `InvalidTokenError`."""
    return Tenant(check_token("tenant", value))


def request_id(value: str) -> RequestId:
    """Raises `InvalidTokenError`."""
    return RequestId(check_token("request id", value))


def channel(value: str) -> Channel:
    """Raises `InvalidTokenError`."""
    return Channel(check_token("channel", value))


def pool(value: str) -> Pool:
    """Raises `InvalidTokenError`."""
    return Pool(check_token("pool", value))


def scope(value: str) -> Scope:
    """Raises `InvalidTokenError`."""
    return Scope(check_token("scope", value))


def tool_name(value: str) -> ToolName:
    """Raises `InvalidTokenError`."""
    return ToolName(check_token("tool name", value))


def is_priority_class(value: str) -> TypeGuard[PriorityClass]:
    return value in PRIORITY_CLASSES


class RequestAddress(NamedTuple):
    """What the subject of a chat request says; the tenant is as written there and may be anything."""

    tenant: str
    priority_class: str


class WorkAddress(NamedTuple):
    """What the subject of work, queued or waiting, says."""

    pool: Pool
    priority_class: PriorityClass
    tenant: Tenant


class EventsAddress(NamedTuple):
    """What the subject of an event message says."""

    tenant: Tenant
    channel: Channel
    request_id: RequestId
    attempt: int


class CallAddress(NamedTuple):
    """Which request a replay, control, payloads, stop or due subject is about; both as written there."""

    tenant: str
    request_id: str


class ToolAddress(NamedTuple):
    """What the subject of a tool call says."""

    scope: Scope
    name: ToolName


@dataclass(frozen=True, slots=True)
class Subjects:
    """Builders and parsers under one root token. Builders take checked names (`tenant()`, `request_id()`, …)."""

    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        check_token("root", self.root)

    def request(self, tenant: Tenant, priority_class: PriorityClass) -> str:
        return f"{self.root}.requests.{tenant}.{priority_class}"

    def work(self, pool: Pool, priority_class: PriorityClass, tenant: Tenant) -> str:
        return f"{self.root}.work.{pool}.{priority_class}.{tenant}"

    def all_work(self, pool: Pool, priority_class: PriorityClass) -> str:
        """The work of all tenants in one queue."""
        return f"{self.root}.work.{pool}.{priority_class}.*"

    def waiting(self, pool: Pool, priority_class: PriorityClass, tenant: Tenant) -> str:
        """Work of a tenant that has all the work in this queue that it may have; services only."""
        return f"{self.root}.waiting.{pool}.{priority_class}.{tenant}"

    def events(self, tenant: Tenant, channel: Channel, request_id: RequestId, attempt: int) -> str:
        return f"{self.root}.events.{tenant}.{channel}.{request_id}.{attempt}"

    def channel_events(self, tenant: Tenant, channel: Channel) -> str:
        """All events of one publishing process: the one live subscription of a client."""
        return f"{self.root}.events.{tenant}.{channel}.*.*"

    def request_events(self, tenant: Tenant, request_id: RequestId) -> str:
        """All events of one request, whatever its channel and attempt."""
        return f"{self.root}.events.{tenant}.*.{request_id}.*"

    def result(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self.root}.results.{tenant}.{request_id}"

    def queued(self, tenant: Tenant, request_id: RequestId) -> str:
        """The router's note of a request that has no end yet, or the mark of one that was cancelled before it came.

        The server moves it to `due` at the request's deadline; services only.
        """
        return f"{self.root}.queued.{tenant}.{request_id}"

    def due(self, tenant: Tenant, request_id: RequestId) -> str:
        """The note again, when the request's time is up and it has no end; services only."""
        return f"{self.root}.due.{tenant}.{request_id}"

    def replay(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self.root}.replay.{tenant}.{request_id}"

    def payloads(self, tenant: Tenant, request_id: RequestId) -> str:
        """Request/reply: keeps a piece of a payload over the bus's limit; served by the router."""
        return f"{self.root}.payloads.{tenant}.{request_id}"

    def piece(self, tenant: Tenant, request_id: RequestId, sha256: str, index: int) -> str:
        """Where a piece of a payload is stored; services only."""
        return f"{self.root}.pieces.{tenant}.{request_id}.{sha256}.{index}"

    def pieces(self, tenant: Tenant, request_id: RequestId, sha256: str) -> str:
        """All pieces of one payload."""
        return f"{self.root}.pieces.{tenant}.{request_id}.{sha256}.*"

    def control(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self.root}.control.{tenant}.{request_id}"

    def response(self, tenant: Tenant, request_id: RequestId) -> str:
        """Request/reply: a stored response, to be read, listed or deleted; served by the router."""
        return f"{self.root}.responses.{tenant}.{request_id}"

    def watching(self, tenant: Tenant, request_id: RequestId) -> str:
        """Request/reply, both payloads empty: whoever watches the response over a gateway answers; gateways only."""
        return f"{self.root}.watching.{tenant}.{request_id}"

    def stop(self, tenant: Tenant, request_id: RequestId) -> str:
        """To whichever executor runs the request; services only. An empty payload, from the router, cancels it, and
        `deadline` asks only whether it still runs; `overtaken by <attempt>`, from the executor that runs that attempt,
        ends earlier ones.
        """
        return f"{self.root}.stop.{tenant}.{request_id}"

    def returned(self, stream: str, sequence: int, attempt: str) -> str:
        """A delivery of a message of `stream` that was handed back in good order; services only."""
        return f"{self.root}.returned.{check_token('stream', stream)}.{sequence}.{attempt}"

    def all_stops(self) -> str:
        """Every stop message."""
        return f"{self.root}.stop.*.*"

    def models(self, tenant: Tenant) -> str:
        """Request/reply: the models a tenant may name; served by the router."""
        return f"{self.root}.models.{tenant}"

    def catalog(self) -> str:
        """Request/reply: the catalog in use; every router answers. Services and operators only."""
        return f"{self.root}.catalog"

    def tool(self, scope: Scope, name: ToolName) -> str:
        """Request/reply: calls of one tool; every host that serves it is in its queue group."""
        return f"{self.root}.tools.{scope}.{name}"

    def tool_cancel(self, key: str) -> str:
        """From the executor to whichever host runs the call with this key (`ToolCall.key`); the payload is empty."""
        return f"{self.root}.tool_cancel.{key}"

    def all_tool_cancels(self) -> str:
        """Every cancel of a tool call."""
        return f"{self.root}.tool_cancel.*.*.*.*"

    def dead(self, kind: str) -> str:
        return f"{self.root}.dead.{check_token('kind', kind)}"

    def parse_request(self, subject: str) -> RequestAddress:
        """Raises `ValueError` for a subject that is no request subject under this root."""
        rest = self._rest(subject, "requests", 2)
        return RequestAddress(rest[0], rest[1])

    def parse_events(self, subject: str) -> EventsAddress:
        """Raises `ValueError` for a subject that is no events subject under this root."""
        rest = self._rest(subject, "events", 4)
        if not (rest[3].isascii() and rest[3].isdigit()):
            raise ValueError(f"subject {subject!r} must end in an attempt number")
        return EventsAddress(Tenant(rest[0]), Channel(rest[1]), RequestId(rest[2]), int(rest[3]))

    def parse_work(self, subject: str) -> WorkAddress:
        """Of work, queued or waiting. Raises `ValueError` for any other subject."""
        root, kind, *rest = subject.split(".")
        if root != self.root or kind not in ("work", "waiting") or len(rest) != 3 or not is_priority_class(rest[1]):
            raise ValueError(f"subject {subject!r} is not {self.root}.<work|waiting>.<pool>.<class>.<tenant>")
        return WorkAddress(Pool(rest[0]), rest[1], Tenant(rest[2]))

    def parse_call(self, subject: str) -> CallAddress:
        """Of a replay, control, payloads, responses, stop or due subject. Raises `ValueError` for any other."""
        tokens = subject.split(".")
        if len(tokens) != 4 or tokens[0] != self.root or tokens[1] not in _CALLS:
            kinds = "|".join(_CALLS)
            raise ValueError(f"subject {subject!r} is not {self.root}.<{kinds}>.<tenant>.<request>")
        return CallAddress(tokens[2], tokens[3])

    def parse_tool(self, subject: str) -> ToolAddress:
        """Raises `ValueError` for a subject that is no tool's under this root."""
        rest = self._rest(subject, "tools", 2)
        return ToolAddress(Scope(rest[0]), ToolName(rest[1]))

    def parse_tool_cancel(self, subject: str) -> str:
        """The key of the call. Raises `ValueError` for any other subject."""
        return ".".join(self._rest(subject, "tool_cancel", 4))

    def _rest(self, subject: str, kind: str, count: int) -> list[str]:
        tokens = subject.split(".")
        if len(tokens) != count + 2 or tokens[0] != self.root or tokens[1] != kind:
            raise ValueError(f"subject {subject!r} is not {self.root}.{kind} followed by {count} tokens")
        return tokens[2:]
