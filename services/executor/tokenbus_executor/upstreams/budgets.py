"""How long each phase of an upstream call may take; the whole request has its deadline besides."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budgets:
    """All in seconds."""

    connect_s: float = 10.0
    """Until a connection to the provider stands."""
    first_event_s: float = 60.0
    """From sending the request to the first useful event; comments, empty deltas and `response.created` are none."""
    event_gap_s: float = 60.0
    """Between two useful events."""
