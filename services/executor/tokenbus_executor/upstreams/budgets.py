"""How long each phase of an upstream call may take; the whole request has its deadline besides."""

from dataclasses import dataclass, replace

from tokenbus_schemas import ProviderRow, Target


@dataclass(frozen=True, slots=True)
class Budgets:
    """All in seconds."""

    connect_s: float = 10.0
    """Until a connection to the provider stands."""
    first_event_s: float = 60.0
    """From sending the request to the first useful event; comments, empty deltas and `response.created` are none."""
    event_gap_s: float = 60.0
    """Between two useful events."""

    def of(self, target: Target, *, row: ProviderRow) -> "Budgets":
        """These, or what the target's provider, or the target itself, has instead."""
        return replace(
            self,
            connect_s=row.connect_timeout_s or self.connect_s,
            first_event_s=target.first_event_timeout_s or row.first_event_timeout_s or self.first_event_s,
            event_gap_s=target.event_gap_timeout_s or row.event_gap_timeout_s or self.event_gap_s,
        )
