"""One answer as it arrives: its events, its text, and the response it ends with."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from tokenbus.answer_text import AnswerText
from tokenbus.errors import ContractError, ResponseFailedError, TextLostError
from tokenbus.reader import Reader
from tokenbus_schemas import EventLine, RequestId, Response, response_id


class ResponseStream:
    """An answer, read while it is written. Made by `Client.stream()` and `Client.attach()`; enter it once.

        async with client.stream(model="openai/gpt-4.1-mini", input="Hello") as stream:
            async for piece in stream.text:
                print(piece, end="")
            response = await stream.response()

    Iterate over `text`, or over the stream itself (or `events`) for every event, or take `batch()`es of events. All
    read on from one place, one task at a time. Each event comes once, in order, the terminal one last. Events that were
    lost for good are named by one `tokenbus:response.gap` event in their place. A cancel while waiting loses nothing.

    Reading raises `AnswerLostError` (or, attached, `UnknownRequestError`) where there is no end to wait for.
    """

    def __init__(
        self, reading: AbstractAsyncContextManager[Reader], *, request_id: RequestId, from_start: bool
    ) -> None:
        self.request_id = request_id
        self.response_id = response_id(request_id)
        self.last_sequence_number = -1
        """Of the last event read; `attach(after=…)` continues behind it."""
        self._reading = reading
        self._reader: Reader | None = None
        self._ready: deque[EventLine] = deque()
        self._terminal: EventLine | None = None
        self._final: Response | None = None
        self._text = AnswerText()
        self._text_is_whole = from_start

    async def __aenter__(self) -> Self:
        self._reader = await self._reading.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader = None
        await self._reading.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventLine:
        if not self._ready and not await self._refill():
            raise StopAsyncIteration
        self._text_is_whole = False
        line = self._ready.popleft()
        self.last_sequence_number = line.sequence_number
        return line

    @property
    def events(self) -> AsyncIterator[EventLine]:
        """Every event: the same as iterating over the stream itself."""
        return self

    async def batch(self) -> list[EventLine]:
        """All events that are ready, at least one; empty after the terminal event. Cheaper than one at a time."""
        if not self._ready and not await self._refill():
            return []
        self._text_is_whole = False
        lines = list(self._ready)
        self._ready.clear()
        self.last_sequence_number = lines[-1].sequence_number
        return lines

    @property
    def text(self) -> AsyncIterator[str]:
        """The text as it grows: one piece for all that came together; all pieces are the final `output_text`.

        After a gap nothing more is shown until the terminal event, which holds all text: then the rest comes at once.
        An answer that is said anew (`recovery`) goes on behind what was shown as soon as it has said the same again.
        Ends for a completed, an incomplete and a cancelled response; raises `ResponseFailedError` for a failed one, so
        that half an answer is never taken for a whole. Raises `TextLostError` where text was lost, or said anew in
        other words, and what was shown is not the beginning of the final text, or can not be compared with it (attached
        in the middle, or events read before).
        """
        return self._pieces()

    async def response(self) -> Response:
        """Reads to the end and returns the final response: completed, incomplete or cancelled (see `status`).

        Raises `ResponseFailedError`, which carries it, for a failed one. Asked again, it answers the same.
        """
        while self._terminal is None:
            self._ready.clear()
            await self._refill()
        self._ready.clear()
        self.last_sequence_number = self._terminal.sequence_number
        if self._final is None:
            self._final = _response_of(self._terminal)
        if self._final.status == "failed":
            raise ResponseFailedError(self._final)
        return self._final

    async def _refill(self) -> bool:
        if self._terminal is not None:
            return False
        if self._reader is None:
            raise RuntimeError("the stream is not open; read it inside `async with`")
        batch = await self._reader.batch()
        self._ready.extend(batch)
        if batch and batch[-1].is_terminal:
            self._terminal = batch[-1]
        return bool(batch)

    async def _pieces(self) -> AsyncGenerator[str]:
        while self._ready or await self._refill():
            lines = list(self._ready)
            self._ready.clear()
            self.last_sequence_number = lines[-1].sequence_number
            piece = "".join([self._text.feed(line) for line in lines])
            rest: str | None = None
            if lines[-1].is_terminal and self._text_is_whole:
                rest = self._text.finish(_response_of(lines[-1]))
                piece += rest or ""
            if piece:
                yield piece
            if lines[-1].is_terminal:
                response = await self.response()
                if rest is None and self._text.in_doubt:
                    raise TextLostError(response)


def _response_of(terminal: EventLine) -> Response:
    try:
        return Response.model_validate(terminal.data.get("response"))
    except ValidationError as error:
        raise ContractError(f"the response in {terminal.type}", problems=error.error_count()) from error
