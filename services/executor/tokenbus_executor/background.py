"""A call whose answer the provider keeps while it runs in the background: when its stream breaks, it is resumed.

1. The provider's id is noted, durably, as soon as it is known and before any event of the answer is published.
2. To resume, the stream is read again from its start, through the same translator, from where the response stood before
   the call. The same bytes make the same events: as many of them as were published are passed over, the rest is new.
3. Within an attempt that is invisible. A later attempt says first which event it goes on from
   (`tokenbus:response.resumed`); a reader who had more than that passes over what it has.
4. Where what was published is at hand, what is passed over must be the same. If it is not, or the provider shows the
   answer no more, the response stands again as readers have it, and the call has failed.
5. Whoever gives the call up cancels it at the provider, which would write on, and bill. A shutdown, or a later attempt
   that has taken over, does not: the answer is resumed elsewhere.

OpenAI shows such a stream for five minutes (github.com/openai/openai-python/issues/2828, 2026-01); the id is checked,
since it goes into an address.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.failover.rules import rule_of
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.reading import OnFirstEvent, Publishes, read_upstream
from tokenbus_executor.upstream_notes import UpstreamNote, UpstreamNotes
from tokenbus_executor.upstreams import Upstream
from tokenbus_schemas import ErrorCode, Event, EventLine, RequestId, Tenant, WorkOrder, encode
from tokenbus_schemas.vocabulary import LIFECYCLE_TYPES, RESUMED
from tokenbus_translate import ResponseAssembly, ResponsesStream, UpstreamFailure, failure

_log = logging.getLogger(__name__)

TRIES: Final = 5
"""How often a stream is read again without anything new in it."""
_PAUSE_S: Final = 0.1
"""Before the second try; doubled before each further one."""
_CANCEL_S: Final = 1.0
"""How long the provider is waited for when a call is given up."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_LOST: Final = frozenset({ErrorCode.UPSTREAM_CUT, ErrorCode.EVENT_GAP_TIMEOUT})
"""The stream broke; the answer may not have."""
_PASSING: Final = frozenset(
    {ErrorCode.CONNECT_TIMEOUT, ErrorCode.FIRST_EVENT_TIMEOUT, ErrorCode.UPSTREAM_UNAVAILABLE, ErrorCode.UPSTREAM_ERROR}
)
"""The stream could not be had again just now."""

BODY: Final[Mapping[str, object]] = {"background": True, "store": True}
"""What makes a provider keep an answer: https://developers.openai.com/api/docs/guides/background (2026-08)."""


class OtherStreamError(Exception):
    """What the provider tells again is not what it told."""


class BackgroundCall:
    """One call. `begin` it, or `resume` one that an earlier attempt began."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        order: WorkOrder,
        attempt: int,
        assembly: ResponseAssembly,
        publisher: EventPublisher,
        notes: UpstreamNotes,
    ) -> None:
        self.stream = ResponsesStream(assembly)
        """What reads the answer, or read the last part of it."""
        self._upstream = upstream
        self._order = order
        self._attempt = attempt
        self._assembly = assembly
        self._publisher = publisher
        self._notes = notes
        self._begin = assembly.standing()
        self._noted: UpstreamNote | None = None
        self._note = UpstreamNote(
            attempt=attempt,
            target=upstream.target,
            upstream_id="",
            begin=len(assembly.output),
            started=assembly.started,
            minted_by=assembly.minted_by,
            first=publisher.next_number,
            skipped=0,
            after=-1,
        )

    async def begin(self, body: Mapping[str, object], *, on_first_event: OnFirstEvent) -> UpstreamFailure | None:
        """As `read_upstream`: ask, and read the answer to its end, however often its stream breaks."""
        broke = await read_upstream(
            self._upstream,
            opening=self._upstream.open({**body, **BODY}),
            stream=self.stream,
            publisher=self._publisher,
            on_first_event=on_first_event,
            on_chunk=self._take_note,
        )
        return await self._go_on(broke, on_first_event=on_first_event)

    async def resume(
        self, note: UpstreamNote, *, told: Sequence[EventLine], on_first_event: OnFirstEvent
    ) -> UpstreamFailure | None:
        """The same for a call of an earlier attempt. `told`: all that earlier attempts have published."""
        partial = self._assembly.standing()
        self._assembly.go_back_to(note.begin, started=note.started)
        self._assembly.minted_by = note.minted_by
        self._begin = self._assembly.standing()
        self._assembly.go_back(partial)
        own = {line.sequence_number: line for line in told if line.attempt == note.attempt}
        last = max((number for number in own if number >= note.first), default=note.after)
        skipped = note.skipped + max(0, last - note.first + 1)
        changes = {"attempt": self._attempt, "skipped": skipped, "after": last}
        marker = 1 if skipped else 0
        self._note = note.model_copy(update={**changes, "first": self._publisher.next_number + marker})
        before = {note.skipped + number - note.first: line for number, line in own.items() if number >= note.first}
        if not await self._keep_note():
            return failure(ErrorCode.EXECUTOR_LOST, "the answer could not be resumed: no note could be written")
        again = await self._read_again(before, on_first_event=on_first_event)
        return await self._go_on(again, on_first_event=on_first_event)

    async def cancel_noted(self, note: UpstreamNote) -> None:
        """End an answer that an earlier attempt began."""
        self._noted = note
        await self.cancel()

    async def cancel(self) -> None:
        """End the answer at the provider, if it still runs there."""
        noted, self._noted = self._noted, None
        if noted is None or self.stream.ending is not None:
            return
        if noted.attempt == self._attempt:
            self._note = noted.model_copy(update={"upstream_id": ""})
            await self._keep_note()  # nobody is to resume it
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._upstream.cancel_kept(noted.upstream_id)
        except (UpstreamError, TimeoutError) as error:
            extra = {"request_id": self._order.request_id, "error": type(error).__name__}
            _log.warning("an answer in the background was not cancelled", extra=extra)

    async def _go_on(self, broke: UpstreamFailure | None, *, on_first_event: OnFirstEvent) -> UpstreamFailure | None:
        tries = 0
        again = broke
        while again is not None and self._may_be_resumed(again) and tries < TRIES:
            if tries:
                await asyncio.sleep(_PAUSE_S * 2 ** (tries - 1))
            before = self._publisher.next_number
            again = await self._read_again({}, on_first_event=on_first_event)
            tries = 0 if self._publisher.next_number > before else tries + 1
        if again is not None and again is not broke and broke is not None:
            _log.warning("a stream was not resumed", extra={"request_id": self._order.request_id, "code": again.code})
        return again

    def _may_be_resumed(self, broke: UpstreamFailure) -> bool:
        if self._noted is None:
            return False
        if broke.provider_code is None and broke.status is None and broke.code in _LOST:
            return self.stream.committed or broke.code is ErrorCode.UPSTREAM_CUT
        refused = broke.status is not None and rule_of(broke).again
        return self._published > 0 and (refused or (broke.provider_code is None and broke.code in _PASSING))

    @property
    def _published(self) -> int:
        """Events of the call that readers have."""
        return self._note.skipped + max(0, self._publisher.next_number - self._note.first)

    async def _read_again(
        self, told: Mapping[int, EventLine], *, on_first_event: OnFirstEvent
    ) -> UpstreamFailure | None:
        """`told`: what of the call was published, as far as it is at hand, by its place."""
        partial = self._assembly.standing()
        self._assembly.go_back(self._begin)
        self.stream = ResponsesStream(self._assembly)
        passing = _Passing(self._publisher, count=self._published, told=told, first_words=self._first_words)
        broke: UpstreamFailure | None
        try:
            broke = await read_upstream(
                self._upstream,
                opening=self._upstream.open_kept(self._note.upstream_id),
                stream=self.stream,
                publisher=passing,
                on_first_event=on_first_event,
            )
        except OtherStreamError:
            broke = failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider told another answer than before")
        if passing.left and broke is None:
            broke = failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider told less of the answer than before")
        if passing.left:
            self._assembly.go_back(partial)
        return broke

    def _first_words(self) -> list[Event]:
        """What this attempt says before its first event of a call that an earlier one began."""
        if self._publisher.next_number >= self._note.first:
            return []
        return [Event(RESUMED, b',"attempt":%d,"after":%d' % (self._attempt, self._note.after))]

    async def _take_note(self) -> None:
        upstream_id = self.stream.upstream_id
        if self._note.upstream_id or upstream_id is None or not _ID.fullmatch(upstream_id):
            return
        self._note = self._note.model_copy(update={"upstream_id": upstream_id})
        await self._keep_note()

    async def _keep_note(self) -> bool:
        kept = await self._notes.keep(
            self._note,
            tenant=Tenant(self._order.tenant),
            request_id=RequestId(self._order.request_id),
            ttl_s=self._order.deadline - time.time(),
        )
        self._noted = self._note if kept and self._note.upstream_id else None
        return kept


class _Passing:
    """Passes over the first events, which were published before, and publishes the rest."""

    def __init__(
        self,
        publisher: Publishes,
        *,
        count: int,
        told: Mapping[int, EventLine],
        first_words: Callable[[], list[Event]],
    ) -> None:
        self.left = count
        """How many are still to be passed over."""
        self._publisher = publisher
        self._place = 0
        self._told = told
        self._first_words = first_words

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises `OtherStreamError`, and `BusError`."""
        passed, new = events[: self.left], events[self.left :]
        for event in passed:
            line = self._told.get(self._place)
            if line is not None and not _is_same(event, line):
                raise OtherStreamError
            self._place += 1
        self.left -= len(passed)
        if new:
            await self._publisher.publish([*self._first_words(), *new])


def _is_same(event: Event, line: EventLine) -> bool:
    """Of `response.created` and the like only the type: they name the attempt."""
    if event.type in LIFECYCLE_TYPES:
        return line.type == event.type
    return encode(event, line.sequence_number) == line.raw
