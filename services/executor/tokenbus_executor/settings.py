"""Settings of an executor; provider keys are no settings, they stay in the environment (`keys.py`)."""

from pydantic import Field

from tokenbus_chassis.settings import ServiceSettings
from tokenbus_executor.upstreams import Budgets

_BUDGETS = Budgets()


class ExecutorSettings(ServiceSettings):
    """Environment variables led by `TOKENBUS_`, as for every service."""

    slots: int = Field(default=100, ge=1, le=10_000, description="How many requests one executor answers at once.")
    executor_pools: str = Field(
        default="", description="Pools to serve, with commas between; empty: every pool of the catalog."
    )
    connect_timeout_s: float = Field(
        default=_BUDGETS.connect_s, gt=0, description="Budget until a provider is connected."
    )
    first_event_timeout_s: float = Field(
        default=_BUDGETS.first_event_s,
        gt=0,
        description="Budget from the request to the provider's first useful event.",
    )
    event_gap_timeout_s: float = Field(
        default=_BUDGETS.event_gap_s, gt=0, description="Budget between two useful events of a provider."
    )

    def budgets(self) -> Budgets:
        return Budgets(self.connect_timeout_s, self.first_event_timeout_s, self.event_gap_timeout_s)

    def pools(self) -> list[str] | None:
        """The pools to serve; None: all."""
        named = [name.strip() for name in self.executor_pools.split(",") if name.strip()]
        return named or None
