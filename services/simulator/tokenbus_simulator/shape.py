"""What an API's shape gives: the same answer as a stream or in one piece, and how a stream reports an error."""

from collections.abc import Sequence
from typing import Protocol

from tokenbus_simulator.faults import Fault
from tokenbus_simulator.wire import Frame, JsonObject


class Shape(Protocol):
    """One answer in the shape of one API."""

    def opening(self) -> Sequence[Frame]:
        """The events that are sent before there is a token; at least one."""
        ...

    def body(self) -> Sequence[Frame]:
        """All further events up to the end of a good stream."""
        ...

    def failure(self, fault: Fault, /, *, number: int) -> Sequence[Frame]:
        """The events that report an error in a stream, after `number` others."""
        ...

    def plain(self) -> JsonObject:
        """The answer in one piece."""
        ...
