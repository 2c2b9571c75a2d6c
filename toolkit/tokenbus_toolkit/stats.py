"""What a host counts of each tool since it started; shown by `$SRV.STATS`."""

from dataclasses import dataclass

from tokenbus_schemas.tools import Outcome


@dataclass(slots=True)
class ToolStats:
    """`processing_ns`: from the arrival of a call to its result, waiting included, over all calls."""

    requests: int = 0
    errors: int = 0
    processing_ns: int = 0
    last_error: Outcome | None = None
    ignored_stops: int = 0
    """Runs that went on after they were told to stop."""

    def count(self, outcome: Outcome, *, seconds: float) -> None:
        self.requests += 1
        self.processing_ns += int(seconds * 1e9)
        if outcome != "ok":
            self.errors += 1
            self.last_error = outcome
