"""Events → the bytes of an SSE body: Responses events as they stand on the bus, or chat chunks.

Rules:

1. What came together leaves together: one `encode` makes one write.
2. A Responses event is not parsed: its line is the data, and its type is read from the prefix. `event:` equals `type`,
   there is no `id:`, and the last message is `[DONE]` (Open Responses 2026-04-24).
3. A failed answer is told by an `error` event and then `response.failed`, one number later; a chat stream, which knows
   no events, ends in a chunk that holds the error, without `[DONE]`, so that nothing takes it for a whole answer. So
   does one that was begun anew (`tokenbus.recovery` restart): chat has no word to take anything back.
4. An answer begins once: where a later attempt tells its beginning again, that is left out.

Pure.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from tokenbus_gateway.api_errors import BEGUN_ANEW, CANCELLED, ApiError, response_error
from tokenbus_schemas import EventLine
from tokenbus_schemas.events import FAILED, INCOMPLETE
from tokenbus_translate import EventsToChat

DONE: Final = b"data: [DONE]\n\n"
QUEUED: Final = "response.queued"
OPENERS: Final = frozenset({"response.created", QUEUED, "response.in_progress"})
"""What every answer begins with, a failed one too: these alone decide no HTTP status."""

_EVENT: Final = b"event: %b\ndata: %b\n\n"
_TYPE_START: Final = len(b'{"type":"')


class Encoder(Protocol):
    """Makes the body of one streamed answer."""

    def encode(self, lines: Sequence[EventLine]) -> bytes:
        """The next events, in order; the terminal one brings the end of the body with it. May be empty."""
        ...

    def error(self, error: ApiError) -> bytes:
        """What to say last where no terminal event will come; the connection is cut after it."""
        ...

    def refusal(self, terminal: EventLine) -> ApiError | None:
        """The error to answer with, where an answer ends so and has said nothing; None: it is an answer."""
        ...


class ResponsesSSE:
    """OpenAI's Responses stream."""

    def __init__(self, *, after: int = -1) -> None:
        """`after`: the last number that the client has; it gets nothing twice."""
        self._opened: set[str] = set()
        self._last_number = after

    def encode(self, lines: Sequence[EventLine]) -> bytes:
        body = b"".join([_EVENT % (_type_of(message), message) for message in self.messages(lines)])
        return body + DONE if lines and lines[-1].is_terminal else body

    def messages(self, lines: Sequence[EventLine]) -> list[bytes]:
        """The events to tell, each as JSON: what a WebSocket sends, too."""
        messages: list[bytes] = []
        for line in lines:
            if line.type in OPENERS:
                if line.type in self._opened:
                    continue
                self._opened.add(line.type)
            elif line.type == FAILED:
                if line.sequence_number > self._last_number:
                    messages.append(failure(line).event(line.sequence_number))
                messages.append(_renumbered(line))
                continue
            messages.append(line.raw)
        if lines:
            self._last_number = lines[-1].sequence_number
        return messages

    def error(self, error: ApiError) -> bytes:
        return _EVENT % (b"error", error.event(self._last_number + 1))

    def refusal(self, terminal: EventLine) -> ApiError | None:
        return failure(terminal) if terminal.type == FAILED else None


class ChatSSE:
    """OpenAI's Chat Completions stream."""

    def __init__(self, translator: EventsToChat) -> None:
        self._translator = translator

    def encode(self, lines: Sequence[EventLine]) -> bytes:
        feed = self._translator.feed
        body = b"".join([b"data: %b\n\n" % chunk for line in lines for chunk in feed(line)])
        if lines and lines[-1].is_terminal:
            broken = self.refusal(lines[-1]) or (BEGUN_ANEW if self._translator.rewound else None)
            body += DONE if broken is None else self.error(broken)
        return body

    def error(self, error: ApiError) -> bytes:
        return b"data: %b\n\n" % error.body()

    def refusal(self, terminal: EventLine) -> ApiError | None:
        return chat_failure(terminal)


def refusal_of(encoder: Encoder, lines: Sequence[EventLine]) -> ApiError | None:
    """The error to answer with, if these are the first events and they end an answer that says nothing."""
    if lines[-1].is_terminal and all(line.type in OPENERS for line in lines[:-1]):
        return encoder.refusal(lines[-1])
    return None


def chat_failure(terminal: EventLine) -> ApiError | None:
    """Why a chat client gets no whole answer: the response failed, or was cancelled."""
    if terminal.type == FAILED:
        return failure(terminal)
    return CANCELLED if terminal.type == INCOMPLETE and terminal.data["response"].get("status") == "cancelled" else None


def failure(failed: EventLine) -> ApiError:
    """What a `response.failed` says."""
    return response_error(failed.data["response"].get("error"))


def _type_of(message: bytes) -> bytes:
    return message[_TYPE_START : message.index(b'"', _TYPE_START)]


def _renumbered(line: EventLine) -> bytes:
    """The line, numbered one later: its own number went to the `error` event before it."""
    number = b'"sequence_number":%d'
    return line.raw.replace(number % line.sequence_number, number % (line.sequence_number + 1), 1)
