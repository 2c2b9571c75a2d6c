"""What both upstream stream translators share: bytes in, events out, and the commit rule.

Nothing leaves before the upstream's first *useful* event: a piece of content, reasoning or tool use. Role-only chunks,
`response.created`, keep-alives and empty deltas are not useful: until then the stream may fail and the request move to
another target unseen, leaving no trace in the assembly. After it, what was streamed is kept and the caller ends the
response with `ResponseAssembly.fail`.
"""

from abc import ABC, abstractmethod
from typing import Final

from tokenbus_schemas import ErrorCode, Event
from tokenbus_translate.assembly import Ending, ResponseAssembly
from tokenbus_translate.failure import UpstreamFailure, failure
from tokenbus_translate.json_value import JsonObject, parse_object
from tokenbus_translate.sse import DEFAULT_MAX_EVENT_BYTES, EventTooLargeError, SSEDecoder

COMPLETED: Final = Ending("completed")

_DONE: Final = b"[DONE]"
# openai 3.54's closed list; a compatible server's own word would break strictly typed clients.
_SERVICE_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


class UpstreamStream(ABC):
    """One upstream call, read as it arrives. It ends by itself in `ending`, or breaks with `failure`."""

    def __init__(self, assembly: ResponseAssembly, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.assembly = assembly
        self.ending: Ending | None = None
        """How the upstream ended its answer; the caller then ends the response, or runs tools and goes on."""
        self.failure: UpstreamFailure | None = None
        self.committed: bool = False
        """Whether events have left: from now on a failure is visible."""
        self.useful_count: int = 0
        """How many useful events have come: the only progress that counts for timeouts."""
        self.usage: JsonObject | None = None
        """What this call used, in the Responses shape; counted in the response when a committed call ends."""
        self.facts: JsonObject = {}
        """Fields of the response resource that this upstream decides."""
        self.extension: JsonObject = {}
        """Fields for the resource's `tokenbus` object."""
        self._decoder = SSEDecoder(max_event_bytes=max_event_bytes)

    @property
    def finished(self) -> bool:
        """Nothing more is to be read: `ending` or `failure` is set."""
        return self.ending is not None or self.failure is not None

    @property
    def comments(self) -> int:
        """Keep-alive comments so far."""
        return self._decoder.comments

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that the next bytes of an SSE body make, to be published before `failure` is looked at."""
        try:
            payloads = self._decoder.feed(chunk)
        except EventTooLargeError as error:
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, f"the provider sent too much at once: {error}"))
            payloads = []
        return self._read_all(payloads)

    def whole(self, body: bytes) -> list[Event]:
        """The events of an answer that came as one JSON body instead of a stream; `finished` afterwards."""
        document = parse_object(body)
        if document is None:
            self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider's answer is not a JSON object"))
        else:
            self._read_document(document)
        return self.assembly.take()

    def close(self, cause: UpstreamFailure | None = None) -> list[Event]:
        """No more bytes come: the body ended, or broke by `cause` (a timeout, a lost connection).

        An answer that is whole by then has ended well, whatever broke after it; else `failure` is the cause, or a cut.
        """
        if self.finished:
            return []
        events = self._read_all(self._decoder.close())
        if not self.finished:
            self._read_end()
        if not self.finished:
            cut = failure(ErrorCode.UPSTREAM_CUT, "the provider's stream ended before the answer did")
            self._fail(cause or cut)
        return events + self.assembly.take()

    def abandon(self) -> None:
        """The caller reads no further (a cancel): what the upstream has reported so far, such as usage, counts."""
        if self.committed and not self.finished:
            self._tell_assembly()

    def _read_all(self, payloads: list[bytes]) -> list[Event]:
        for payload in payloads:
            if self.finished:
                break
            if payload == _DONE:
                self._read_done()
                continue
            event = parse_object(payload)
            if event is None:
                self._fail(failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider sent an event that is not a JSON object"))
                break
            self._read(event)
        return self.assembly.take()

    def note_service_tier(self, tier: str) -> None:
        """The service tier that the upstream says it used."""
        if tier in _SERVICE_TIERS:
            self.facts["service_tier"] = tier
        else:
            self.extension["service_tier"] = tier

    def _end(self, ending: Ending) -> None:
        self.committed = True
        self.ending = ending
        self._tell_assembly()

    def _fail(self, reason: UpstreamFailure) -> None:
        if not self.finished:
            self.failure = reason
            if self.committed:
                self._tell_assembly()

    def _tell_assembly(self) -> None:
        self.assembly.add_usage(self.usage)
        self.usage = None  # counted once, whatever is called after this
        self.assembly.facts |= self.facts
        self.assembly.extension |= self.extension

    @abstractmethod
    def _read(self, event: JsonObject) -> None:
        """Take one parsed event of the stream."""

    @abstractmethod
    def _read_document(self, document: JsonObject) -> None:
        """Take a whole answer and end."""

    @abstractmethod
    def _read_done(self) -> None:
        """`[DONE]` came."""

    @abstractmethod
    def _read_end(self) -> None:
        """The body is over: set `ending` if the answer is whole."""
