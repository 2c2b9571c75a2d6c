"""Reads one answer: live messages from its inbox, put in order, healed by replay. One task, no background work.

The reader asks the replay service when

- numbers are missing (a gap), or another attempt begins (a seam);
- something may have been lost unseen: its inbox overflowed, the bus reconnected, the answer is watched from the middle;
- nothing came for `silence_s`: the loss of the last message leaves no gap.

What the replay service does not know at all after a reconnect was lost with NATS's store (`loss.py`).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenbus.errors import (
    AnswerLostError,
    BusError,
    BusTimeoutError,
    CallRefusedError,
    RequestRefusedError,
    TokenbusError,
    UnknownRequestError,
)
from tokenbus.inbox import Inbox
from tokenbus.loss import LossWatch
from tokenbus.replay import Page, Replay
from tokenbus.sequencer import Sequencer
from tokenbus_schemas import EventLine, MalformedEventError, RequestId, split_message
from tokenbus_schemas.replay import ReplayMode, ReplayState
from tokenbus_schemas.vocabulary import SNAPSHOT

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReadingTimes:
    """How patient a reader is; seconds."""

    silence_s: float = 5.0
    """Without any event for this long, a fifth more or less, it asks for a replay."""
    gap_s: float = 5.0
    """A gap is given up after this long, while storage may still be behind the live path."""
    stored_gap_s: float = 0.5
    """The same when storage already holds later events: then what is missing was most likely never stored."""
    lost_s: float = 3.0
    """After a reconnect, a request that nobody knows for this long is sent again, or lost."""
    abandoned_s: float = 30.0
    """The same where the answer had begun: an executor may still run it, and be waiting for its provider."""
    unknown_s: float = 2.0
    """A request that is attached to may be this young that the router has not seen it yet."""
    unanswered_s: float = 10.0
    """Attached: calls that nobody answers are repeated for this long. A router that has just died took them with it."""
    grace_s: float = 10.0
    """An accepted request must have its terminal event this long after its deadline; attached, after an hour."""


class Submitted(NamedTuple):
    """The request of an answer, as its sender knows it."""

    loss: LossWatch
    reconnects: Callable[[], int]
    """Of the bus, so far."""
    resubmit: Callable[[int], Awaitable[None]]
    """Sends it again, for the n-th time. Raises what `submit` raises."""


class Reader:
    """`batch()` until it returns nothing."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        replay: Replay,
        request_id: RequestId,
        after: int = -1,
        attached: bool,
        mode: ReplayMode = "events",
        deadline: float,
        times: ReadingTimes,
    ) -> None:
        """`attached`: to a request that may be any age, or not exist. `mode`: of the first replay with anything in it.
        `deadline`: in the event loop's time.
        """
        self.sequencer = Sequencer(after=after)
        self._inbox = inbox
        self._replay = replay
        self._request_id = request_id
        self._attached = attached
        self._mode: ReplayMode = mode
        self._lost_at = deadline + times.grace_s
        self._times = times
        # Each reader has its own patience, so that a bus that falls silent is not asked by all of them in one moment.
        self._silence_s = times.silence_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self._loop = asyncio.get_running_loop()
        self._after = after
        self._started = self._quiet_since = self._loop.time()
        self._next_ask = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._gap_since: float | None = None
        self._state: ReplayState | None = None
        self._replay_failed = False
        self.submitted: Submitted | None = None
        """Set by the sender once the request is accepted: then one that is lost with NATS's store is found out."""
        if attached:
            self.sequencer.doubt()

    async def batch(self) -> list[EventLine]:
        """The next events, in order: all that came together. Empty after the terminal event. A cancel loses nothing.

        Raises `AnswerLostError`, `ContractError`, and `CallRefusedError` where to ask again does not help; attached
        also `UnknownRequestError`, and `BusError` where nobody answers from the start.
        """
        while not self.sequencer.ended:
            mail = self._inbox.take()
            if mail.lost:
                self.sequencer.doubt()
            if events := self._feed(mail.payloads) or await self._turn():
                self._quiet_since, self._gap_since = self._loop.time(), None
                if self.submitted is not None:
                    self.submitted.loss.known()
                self._next_ask, self._pause_s = 0.0, _FIRST_PAUSE_S
                return events
        return []

    def _feed(self, payloads: list[bytes]) -> list[EventLine]:
        events: list[EventLine] = []
        for payload in payloads:
            try:
                events += self.sequencer.feed(split_message(payload))
            except MalformedEventError:
                _log.warning("dropped a malformed event message", extra={"request_id": self._request_id})
                self.sequencer.doubt()
        return events

    async def _turn(self) -> list[EventLine]:
        """Nothing was in the inbox: wait, or have missing events replayed."""
        now = self._loop.time()
        if now >= self._lost_at:
            raise AnswerLostError(self._request_id, state=self._state)
        after = self.sequencer.missing_after
        if after is None:
            silent_at = self._quiet_since + self._silence_s
            if not await self._inbox.wait(until=min(silent_at, self._lost_at)):
                self.sequencer.doubt()
            return []
        if now < self._next_ask:
            await self._inbox.wait(until=min(self._next_ask, self._lost_at))
            return []
        if self._gap_since is None and self.sequencer.has_gap:
            self._gap_since = now
        return await self._ask(after)

    async def _ask(self, after: int) -> list[EventLine]:
        try:
            page = await self._replay.page(after=after, mode=self._mode)
            joined = self._join(page)
            events = self.sequencer.fill(page.lines, more=page.more) if joined is None else joined
            if not events and page.state == "ended" and not page.lines and not page.more:
                # Its number is not after ours: a terminal event that a service wrote for an overtaken attempt.
                terminal = await self._replay.terminal()
                events = self.sequencer.feed([terminal] if terminal is not None else [])
        except (BusError, CallRefusedError) as error:
            refused = isinstance(error, CallRefusedError) and error.facts.retry == "never"
            # Silence is no word that nobody is there: it is given longer than one call takes to time out.
            patience_s = self._times.unanswered_s if isinstance(error, BusTimeoutError) else self._times.unknown_s
            if refused or (self._state is None and self._is_in_vain(patience_s)):
                raise
            self._report_failed_replay(error)
            page, events = None, []
        if events:
            return events
        now = self._loop.time()
        if page is not None:
            self._quiet_since, self._state = now, page.state
            if page.state == "unknown" and self._attached:
                if self._is_in_vain(self._times.unknown_s):
                    raise UnknownRequestError(self._request_id)
                self.sequencer.doubt()
            if self.submitted is not None:
                await self._watch_loss(self.submitted, state=page.state, now=now)
        if self.sequencer.missing_after is not None:
            self._next_ask = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return self._give_up_gap(page, now=now)

    def _join(self, page: Page) -> list[EventLine] | None:
        """The events of an answer that is joined late; None for a page of events one by one."""
        if self._mode == "events" or not page.lines:
            return None
        self._mode = "events"
        first = page.lines[0]
        return self.sequencer.join(first) if first.type == SNAPSHOT or first.is_terminal else None

    async def _watch_loss(self, submitted: Submitted, *, state: ReplayState, now: float) -> None:
        loss, reconnects = submitted.loss, submitted.reconnects()
        if state != "unknown":
            loss.known()
            return
        self.sequencer.doubt()
        match loss.unknown(now, reconnects=reconnects, begun=self.sequencer.cursor > self._after):
            case "wait":
                return
            case "lost":
                raise AnswerLostError(self._request_id, state=state)
            case "resubmit":
                extra = {"request_id": self._request_id, "resubmission": loss.resubmissions + 1}
                _log.warning("NATS has lost a request with its store; sending it again", extra=extra)
                try:
                    await submitted.resubmit(loss.resubmissions + 1)
                except BusError as error:  # it may have been accepted: wait for it as long as for the first
                    self._report_failed_replay(error)
                except RequestRefusedError as error:
                    raise AnswerLostError(self._request_id, state=state) from error
                loss.resubmitted(reconnects=reconnects)

    def _is_in_vain(self, patience_s: float) -> bool:
        """Attached for that long, and nothing at all has come."""
        nothing_came = self.sequencer.cursor == self._after and not self.sequencer.has_gap
        return self._attached and nothing_came and self._loop.time() >= self._started + patience_s

    def _give_up_gap(self, page: Page | None, *, now: float) -> list[EventLine]:
        if self._gap_since is None or not self.sequencer.has_gap:
            return []
        passed = page is not None and bool(page.lines) and page.lines[-1].sequence_number > self.sequencer.cursor
        if now - self._gap_since < (self._times.stored_gap_s if passed else self._times.gap_s):
            return []
        _log.warning(
            "events were lost for good", extra={"request_id": self._request_id, "after": self.sequencer.cursor}
        )
        return self.sequencer.skip()

    def _report_failed_replay(self, error: TokenbusError) -> None:
        if not self._replay_failed:
            self._replay_failed = True
            _log.warning(
                "no replay; asking on", extra={"request_id": self._request_id, "problem": type(error).__name__}
            )
