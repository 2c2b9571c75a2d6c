"""Keeps a topology as it is wanted, and remembers for /readyz what someone changed or took away in NATS meanwhile."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from tokenbus.bus import Bus
from tokenbus_chassis.topology import Topology, ensure_topology

_log = logging.getLogger(__name__)

TOLD_S: Final = 600.0
"""How long a change is told; the log has it for longer."""
_MOST: Final = 20


class _Change(NamedTuple):
    seen_at: float
    text: str


class TopologyGuard:
    """`ensure` first, and again whenever something may have changed."""

    def __init__(self, bus: Bus, *, clock: Callable[[], float]) -> None:
        """`clock`: in seconds."""
        self._bus = bus
        self._clock = clock
        self._known: set[str] = set()
        self._changes: deque[_Change] = deque(maxlen=_MOST)

    async def ensure(self, wanted: Topology) -> bool:
        """Make what is missing, mend what differs; whether anything that was there before had vanished.

        Raises what `ensure_topology` raises.
        """
        vanished = False
        for ensured in await ensure_topology(self._bus, wanted):
            if ensured.outcome == "created" and ensured.name in self._known:
                vanished = True
                _log.warning("vanished from NATS and was made anew", extra={"stored": ensured.name})
                self._note(f"{ensured.name} had vanished from NATS and was made anew, empty")
            for field, found, _ in ensured.drift:
                self._note(f"{ensured.name}: {field} had become {found} in NATS and was put right")
            self._known.add(ensured.name)
        return vanished

    def troubles(self) -> list[str]:
        """What was put right lately."""
        since = self._clock() - TOLD_S
        return [change.text for change in self._changes if change.seen_at > since]

    def _note(self, text: str) -> None:
        self._changes.append(_Change(self._clock(), text))
