"""Calls tools and gets exactly one result per call, whatever happens to the hosts that run them.

Rules:

- Nobody listens when a call is first sent: `NobodyServes`, at once. Nothing ran.
- A call that nothing is heard of for `silence_s` is sent again, to the same or another host. Hosts keep a journal under
  the call's key, so this repeats the answer and never the effect.
- Once a call was taken by somebody, it has a result. Where no host is left to give one, it is `unknown`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from tokenbus.bus import Bus, Message
from tokenbus.errors import BusError, PayloadTooLargeError
from tokenbus_schemas.subjects import Scope, Subjects, ToolName
from tokenbus_schemas.tools import SILENCE_LIMIT_S, ToolCall, ToolProgress, ToolResult, ToolRunning

_log = logging.getLogger(__name__)

ProgressCallback = Callable[[ToolProgress], None]

_NO_RESPONDERS: Final = "503"
_RETRY_S: Final = 1.0
_MESSAGE: Final[TypeAdapter[ToolRunning | ToolProgress | ToolResult]] = TypeAdapter(
    Annotated[ToolRunning | ToolProgress | ToolResult, Field(discriminator="type")]
)


class NobodyServes(NamedTuple):
    """No host listens for this tool; the call was not run."""

    subject: str


@dataclass(frozen=True, slots=True)
class CallerTimes:
    """Seconds."""

    silence_s: float = SILENCE_LIMIT_S
    """Without a word for so long, the call is sent again."""
    abandoned_s: float = 30.0
    """A call that was taken and whose host is gone is given up when none has come for so long: a restart takes less."""


@dataclass(slots=True, eq=False)
class _Waiting:
    done: asyncio.Future[ToolResult | NobodyServes]
    on_progress: ProgressCallback | None
    subject: str
    heard: float
    sends: int = 0
    nobody: bool = False


class ToolCaller:
    """Made by `tool_caller`; one per process is enough."""

    def __init__(self, bus: Bus, subjects: Subjects, *, inbox: str, times: CallerTimes) -> None:
        self._bus = bus
        self._subjects = subjects
        self._inbox = inbox
        self._times = times
        self._waiting: dict[str, _Waiting] = {}
        self._numbers = count()
        self._loop = asyncio.get_running_loop()

    @property
    def open_calls(self) -> int:
        """Calls that have no result yet."""
        return len(self._waiting)

    async def call(
        self,
        call: ToolCall,
        *,
        scope: Scope,
        name: ToolName,
        timeout_s: float,
        on_progress: ProgressCallback | None = None,
    ) -> ToolResult | NobodyServes:
        """Run `call` on the tool `name` of `scope`. Raises nothing of the bus's: an answer in words is an answer.

        `timeout_s`: give up then, with the outcome `unknown`; a few seconds more than the call's own deadline, at which
        its host says what became of it. A cancel of this leaves the tool running, since another attempt may want its
        output: `cancel` ends it.
        """
        subject = self._subjects.tool(scope, name)
        reply = f"{self._inbox}.{next(self._numbers)}"
        waiting = _Waiting(self._loop.create_future(), on_progress, subject, heard=self._loop.time())
        self._waiting[reply] = waiting
        payload = call.model_dump_json().encode()
        until = self._loop.time() + timeout_s
        try:
            while not waiting.done.done():
                if self._loop.time() >= until:
                    return _unknown("no host gave a result in time")
                if waiting.nobody and self._loop.time() - waiting.heard >= self._times.abandoned_s:
                    return _unknown("the host that ran it is gone, and no other has come")
                refused = await self._send(subject, payload, reply=reply, waiting=waiting)
                if refused is not None:
                    return refused
                await self._listen(waiting, until=until)
            return waiting.done.result()
        finally:
            del self._waiting[reply]

    async def cancel(self, call: ToolCall) -> None:
        """End the call wherever it runs. Raises what `Bus.publish` raises."""
        await self._bus.publish(self._subjects.tool_cancel(call.key), b"")

    async def _send(self, subject: str, payload: bytes, *, reply: str, waiting: _Waiting) -> ToolResult | None:
        waiting.sends += 1
        waiting.nobody = False
        try:
            await self._bus.publish(subject, payload, reply=reply)
        except PayloadTooLargeError as error:
            return ToolResult(
                output=f"The call of {error.size} bytes is over the bus's limit of {error.max_payload} bytes. "
                "It was not run; send shorter arguments.",
                outcome="invalid_arguments",
            )
        except BusError as error:
            _log.warning(
                "a tool call was not sent; trying on", extra={"subject": subject, "error": type(error).__name__}
            )
        return None

    async def _listen(self, waiting: _Waiting, *, until: float) -> None:
        """Returns when it is done, or the call is to be sent again, or `until`."""
        silent_since = self._loop.time()
        while not waiting.done.done():
            now = self._loop.time()
            patience_s = _RETRY_S if waiting.nobody else self._times.silence_s
            left_s = min(max(silent_since, waiting.heard) + patience_s, until) - now
            if left_s <= 0:
                return
            await asyncio.wait({waiting.done}, timeout=left_s)

    def receive(self, message: Message) -> None:
        """For the inbox's subscription."""
        waiting = self._waiting.get(message.subject)
        if waiting is None or waiting.done.done():
            return  # late, or told twice
        if message.headers.get("Status") == _NO_RESPONDERS:
            waiting.nobody = True
            if waiting.sends == 1:
                waiting.done.set_result(NobodyServes(waiting.subject))
            return
        try:
            heard = _MESSAGE.validate_json(message.data)
        except ValidationError:
            _log.warning("a tool host sent what is no message of a call", extra={"subject": waiting.subject})
            return
        waiting.heard = self._loop.time()
        waiting.nobody = False
        if isinstance(heard, ToolResult):
            waiting.done.set_result(heard)
        elif isinstance(heard, ToolProgress) and waiting.on_progress is not None:
            waiting.on_progress(heard)


def _unknown(why: str) -> ToolResult:
    return ToolResult(
        output=f"The outcome of this call is unknown: {why}. It may have taken effect or not. Find out before you call "
        "it again.",
        outcome="unknown",
    )


@asynccontextmanager
async def tool_caller(bus: Bus, subjects: Subjects, *, times: CallerTimes | None = None) -> AsyncGenerator[ToolCaller]:
    """A caller whose one subscription hears all its results. Raises `BusError`."""
    inbox = bus.new_inbox()
    caller = ToolCaller(bus, subjects, inbox=inbox, times=times or CallerTimes())
    subscription = await bus.subscribe(f"{inbox}.*", caller.receive)
    try:
        yield caller
    finally:
        await subscription.unsubscribe()
