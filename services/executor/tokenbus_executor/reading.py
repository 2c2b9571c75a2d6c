"""Reads one upstream call into published events, each phase under its own budget."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from openai import AsyncOpenAI

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.upstreams import Budgets, open_stream
from tokenbus_schemas import Api, ErrorCode
from tokenbus_translate import UpstreamFailure, UpstreamStream, failure

REUSE_WAIT_S: Final = 0.02
"""How long the end of a finished answer's body is waited for: a body read to its end leaves its connection reusable."""


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """What to send where."""

    client: AsyncOpenAI
    api: Api
    body: Mapping[str, Any]


async def read_upstream(
    call: UpstreamCall, *, stream: UpstreamStream, publisher: EventPublisher, budgets: Budgets
) -> None:
    """Send the request and publish its events as they come, until `stream.ending` or `stream.failure` is set.

    A cancel closes the provider's connection and leaves `stream` as it stands.
    """
    cause: UpstreamFailure | None = None
    phase = asyncio.timeout(budgets.first_event_s)
    try:
        async with phase:
            await _read(call, stream=stream, publisher=publisher, gap_s=budgets.event_gap_s, phase=phase)
    except TimeoutError:
        cause = _too_slow(stream, budgets=budgets)
    except UpstreamError as error:
        cause = error.failure
    await publisher.publish(stream.close(cause))


async def _read(
    call: UpstreamCall, *, stream: UpstreamStream, publisher: EventPublisher, gap_s: float, phase: asyncio.Timeout
) -> None:
    now = asyncio.get_running_loop().time
    async with (
        open_stream(call.client, api=call.api, body=call.body) as upstream,
        aclosing(upstream.chunks()) as chunks,
    ):
        if not upstream.is_event_stream:
            await publisher.publish(stream.whole(b"".join([chunk async for chunk in chunks])))
            return
        useful = 0
        async for chunk in chunks:
            events = stream.feed(chunk)
            if events:
                await publisher.publish(events)
            if stream.finished:
                await _read_to_end(chunks)
                return
            # Only progress that a reader could use counts: comments and empty deltas do not keep a stream alive.
            if stream.useful_count != useful:
                useful = stream.useful_count
                phase.reschedule(now() + gap_s)


async def _read_to_end(chunks: AsyncGenerator[bytes]) -> None:
    try:
        async with asyncio.timeout(REUSE_WAIT_S):
            async for _ in chunks:
                pass
    except (TimeoutError, UpstreamError):
        return  # the answer is whole; only the connection is lost


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
