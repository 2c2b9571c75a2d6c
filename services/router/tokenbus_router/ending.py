"""Ends requests that no executor answers: stores the terminal event, then publishes it. Callers acknowledge last."""

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import Ended, Lost, Stored, TerminalWriter
from tokenbus_router.unanswered import Asked, Ending
from tokenbus_schemas import EventLine, Subjects


class Ender:
    """Writes an ending to RESULTS and the request's events subject."""

    def __init__(self, bus: Bus, *, subjects: Subjects, terminal: TerminalWriter) -> None:
        self._bus = bus
        self._subjects = subjects
        self._terminal = terminal

    async def end(self, asked: Asked, *, ending: Ending, expected_sequence: int) -> Stored | Lost:
        """Store and publish, unless someone else ended it: then publish that terminal event again, its publisher may
        have died in between. Raises `BusError`; then it may be called again with the same ending.
        """
        outcome = await self._terminal.store(
            asked.tenant, asked.request_id, ending.line, expected_sequence=expected_sequence
        )
        match outcome:
            case Stored():
                await self._publish(asked, message=ending.message, attempt=ending.attempt)
            case Lost(winner=Ended(line=line)):
                await self.repeat(asked, line=line)
            case Lost():
                pass  # an executor's later attempt owns it
        return outcome

    async def repeat(self, asked: Asked, *, line: bytes) -> None:
        """Publish the terminal event that is stored. Raises `BusError`."""
        await self._publish(asked, message=line, attempt=EventLine(line).attempt)

    async def _publish(self, asked: Asked, *, message: bytes, attempt: int) -> None:
        subject = self._subjects.events(asked.tenant, asked.channel, asked.request_id, attempt)
        await self._bus.publish(subject, message)
