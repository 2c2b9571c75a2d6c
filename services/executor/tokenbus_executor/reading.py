"""Reads one upstream call into published events, each phase under its own budget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, Protocol

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.upstreams import Budgets, Upstream, UpstreamBody
from tokenbus_schemas import ErrorCode, Event
from tokenbus_translate import UpstreamFailure, UpstreamStream, failure

REUSE_WAIT_S: Final = 0.02
"""How long the end of a finished answer's body is waited for: a body read to its end leaves its connection reusable."""
MAX_DOCUMENT_BYTES: Final = 64 * 2**20
"""The largest answer that is taken in one piece."""

OnFirstEvent = Callable[[], Awaitable[None]]
OnChunk = Callable[[], Awaitable[None]]


class Publishes(Protocol):
    """Where events go."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Events that arrived together. Raises `BusError`."""
        ...


async def read_upstream(
    upstream: Upstream,
    *,
    opening: AbstractAsyncContextManager[UpstreamBody],
    stream: UpstreamStream,
    publisher: Publishes,
    on_first_event: OnFirstEvent,
    on_chunk: OnChunk | None = None,
) -> UpstreamFailure | None:
    """Open the answer and publish its events as they come, until the upstream's own end; why there was none, or None.

    `on_chunk` is awaited whenever something has come, before its events are published. `on_first_event` is awaited
    once, when the first useful event has been published. Raises `BusError`. A cancel closes the provider's connection
    and leaves `stream` as it stands.
    """
    cause: UpstreamFailure | None = None
    phase = asyncio.timeout(upstream.budgets.first_event_s)
    reading = _Reading(
        stream, publisher, gap_s=upstream.budgets.event_gap_s, phase=phase, on_first=on_first_event, on_chunk=on_chunk
    )
    try:
        async with phase, opening as answer:
            await reading.run(answer)
    except TimeoutError:
        cause = _too_slow(stream, budgets=upstream.budgets)
    except UpstreamError as error:
        cause = error.failure
    await publisher.publish(stream.close(cause))
    if stream.failure is None:
        return None
    hidden = upstream.access.hidden
    said = stream.failure.provider_code
    return replace(
        stream.failure, message=hidden(stream.failure.message), provider_code=None if said is None else hidden(said)
    )


class _Reading:
    """One open answer."""

    def __init__(
        self,
        stream: UpstreamStream,
        publisher: Publishes,
        *,
        gap_s: float,
        phase: asyncio.Timeout,
        on_first: OnFirstEvent,
        on_chunk: OnChunk | None,
    ) -> None:
        self._stream = stream
        self._publisher = publisher
        self._gap_s = gap_s
        self._phase = phase
        self._on_first = on_first
        self._on_chunk = on_chunk

    async def run(self, answer: UpstreamBody) -> None:
        if answer.is_json:
            await self._publisher.publish(self._stream.whole(await _document(answer)))
            if self._stream.committed:
                await self._on_first()
            return
        stream, publisher, phase = self._stream, self._publisher, self._phase
        now = asyncio.get_running_loop().time
        useful = 0
        while chunk := await answer.next_chunk():
            events = stream.feed(chunk)
            if self._on_chunk is not None:
                await self._on_chunk()
            if events:
                await publisher.publish(events)
            if stream.useful_count != useful:
                if useful == 0:
                    await self._on_first()
                useful = stream.useful_count
                # Only progress that a reader could use counts: keep-alives and empty deltas do not keep a stream alive.
                phase.reschedule(now() + self._gap_s)
            if stream.finished:
                await _read_to_end(answer)
                return


async def _read_to_end(answer: UpstreamBody) -> None:
    try:
        async with asyncio.timeout(REUSE_WAIT_S):
            while await answer.next_chunk():
                pass
    except (TimeoutError, UpstreamError):
        return  # the answer is whole; only the connection is lost


async def _document(answer: UpstreamBody) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await answer.next_chunk():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_DOCUMENT_BYTES:
            raise UpstreamError(failure(ErrorCode.UPSTREAM_PROTOCOL, f"the provider's answer is over {size} bytes"))
    return b"".join(chunks)


def _too_slow(stream: UpstreamStream, *, budgets: Budgets) -> UpstreamFailure:
    if stream.useful_count:
        return failure(
            ErrorCode.EVENT_GAP_TIMEOUT,
            f"the provider sent nothing useful for {budgets.event_gap_s:g} s (event gap budget)",
        )
    return failure(
        ErrorCode.FIRST_EVENT_TIMEOUT,
        f"the provider sent nothing useful within {budgets.first_event_s:g} s (first event budget)",
    )
