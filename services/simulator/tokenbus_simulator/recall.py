"""Recall: what is answered about responses that are kept. Pure; `now` is a time of the clock they were stored by.

Behaviour: https://developers.openai.com/api/docs/guides/background (2026-08); for the five minutes
github.com/openai/openai-python/issues/2828 (2026-01), for the words about cancelling
github.com/vllm-project/vllm/issues/57999 (2026-09). How OpenAI ends the streams of a response that is cancelled is not
known; here they end without a terminal event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import orjson

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.error_styles import ErrorStyle
from tokenbus_simulator.faults import ANSWER_FAULTS, Ending, Fault, break_stream
from tokenbus_simulator.kept import Generation
from tokenbus_simulator.pace import gather
from tokenbus_simulator.plan import SSE_HEADERS, Plan, plan_plain, plan_unanswered
from tokenbus_simulator.quirks import sse_style
from tokenbus_simulator.script import Script
from tokenbus_simulator.stamps import is_stamped
from tokenbus_simulator.stored import Stored
from tokenbus_simulator.wire import Frame

_STREAMABLE_S: Final = 300.0


class Recall(Protocol):
    """What is said of a response that is kept."""

    def __call__(self, stored: Stored, *, now: float) -> Plan: ...


def found(stored: Stored | None, *, response_id: str) -> Stored:
    """The response, or `RefusedError` where there is none."""
    if stored is None:
        raise RefusedError(f"Response with id '{response_id}' not found.", status=404)
    return stored


def recall(stored: Stored, *, now: float) -> Plan:
    """The response as it is now."""
    stamps = stored.kept.stamps
    return replace(plan_plain(orjson.dumps(stored.resource(now))), stamps=stamps, skipped_stamps=stamps)


def cancel(stored: Stored, *, now: float) -> Plan:
    """Cancels a background response and shows it; one that has ended is shown as it is. Raises `RefusedError`."""
    if stored.kept.generation is None:
        raise RefusedError("Cannot cancel a synchronous response.")
    stored.cancel(now)
    return recall(stored, now=now)


def deleted(stored: Stored, *, now: float) -> Plan:
    """What is said of a response that is forgotten."""
    del now
    return plan_plain(orjson.dumps({"id": stored.id, "object": "response", "deleted": True}))


def wants_stream(query: Mapping[str, str]) -> bool:
    """Whether a response is to be shown as a stream."""
    return query.get("stream", "").lower() == "true"


def stream_again(
    stored: Stored, *, query: Mapping[str, str], script: Script | None, now: float, error: ErrorStyle
) -> Plan:
    """The plan for another stream of a background response, timed from its start. Raises `RefusedError`.

    `script`, if the request brings one, says what goes wrong with this stream; else the fault that the response was
    asked for with goes on until `cuts` connections have met it.
    """
    generation = stored.kept.generation
    if generation is None or not generation.streamed:
        raise RefusedError("This response cannot be streamed: it was not created with background and stream.")
    if now - stored.started > _STREAMABLE_S:
        raise RefusedError("This response can no longer be streamed because it is more than 5 minutes old")
    first = generation.script
    own = script or (first if stored.connections < first.cuts else replace(first, fault=None))
    unanswered = plan_unanswered(own, stream=True, error=error)
    if unanswered:
        return unanswered
    skipped, events = _after(generation, _number(query))
    if stored.cancelled_at is not None:
        events = [event for event in events if event[0] <= stored.elapsed(now)]
    return replace(_plan(own, events), stamps=stored.kept.stamps, skipped_stamps=skipped)


def _plan(script: Script, events: Sequence[tuple[float, Frame]]) -> Plan:
    frames = [frame for _, frame in events]
    fault = None if script.fault in ANSWER_FAULTS else script.fault  # the answer's own are among its events
    broken = break_stream(fault, opening=(), body=frames, after=script.after, failure=_no_failure)
    style = sse_style(script.quirks)
    kept = [(at_s, frame) for (at_s, _), frame in zip(events, broken.body, strict=False)]
    return Plan(
        headers=SSE_HEADERS,
        writes=gather(kept, pace=script.pace, style=style),
        ending=broken.ending if events else Ending.FINISH,
        chunk_bytes=script.chunk_bytes,
    )


def _no_failure(fault: Fault, /, *, number: int) -> Sequence[Frame]:
    del fault, number
    return ()


def _after(generation: Generation, number: int) -> tuple[int, Sequence[tuple[float, Frame]]]:
    """The events after that number, and how many tokens to be stamped come before them."""
    for position, (_, frame) in enumerate(generation.events):
        own = orjson.loads(frame.data).get("sequence_number")
        if isinstance(own, int) and own > number:
            told = [frame for _, frame in generation.events[:position] if frame.tokens and is_stamped(frame.data)]
            return len(told), generation.events[position:]
    return 0, ()


def _number(query: Mapping[str, str]) -> int:
    text = query.get("starting_after", "-1")
    if not text.removeprefix("-").isdigit():
        raise RefusedError("Invalid value for 'starting_after': expected an integer.", param="starting_after")
    return int(text)
