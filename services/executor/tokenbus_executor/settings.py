"""Settings of an executor; provider keys are no settings, they stay in the environment (`keys.py`)."""

from pydantic import Field

from tokenbus_chassis.settings import ServiceSettings
from tokenbus_executor.failover import CoolingPolicy, FailoverPolicy
from tokenbus_executor.tool_surroundings import ToolLimits
from tokenbus_executor.upstreams import Budgets

_BUDGETS = Budgets()
_COOLING = CoolingPolicy()
_FAILOVER = FailoverPolicy()
_TOOLS = ToolLimits()


class ExecutorSettings(ServiceSettings):
    """Environment variables led by `TOKENBUS_`, as for every service."""

    slots: int = Field(default=100, ge=1, le=10_000, description="How many requests one executor answers at once.")
    priority_reserve: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the slots that work of the classes standard and low leaves free for class priority.",
    )
    standard_reserve: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the slots, beside that, that low leaves free for standard."
    )
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

    cooldown_failures: int = Field(
        default=_COOLING.failures, ge=1, description="Requests in a row that must fail before a target cools down."
    )
    cooldown_first_s: float = Field(
        default=_COOLING.first_s, gt=0, description="First cool-down of a target; each further one lasts twice as long."
    )
    cooldown_most_s: float = Field(
        default=_COOLING.most_s, gt=0, description="Longest cool-down, unless the provider names a longer one."
    )

    target_tries: int = Field(
        default=_FAILOVER.tries, ge=1, description="Calls of one target by one request, where no other target is left."
    )
    retry_pause_s: float = Field(
        default=_FAILOVER.pause_s, gt=0, description="Pause before such a call, doubled each time, if none is named."
    )
    target_patience_s: float = Field(
        default=_FAILOVER.patience_s, gt=0, description="How long a request waits for targets that are not ready."
    )

    max_tool_rounds: int = Field(
        default=_TOOLS.rounds,
        ge=0,
        description="Rounds of function tools in one answer, unless its request says otherwise; 0: none is run.",
    )
    max_tool_calls: int = Field(
        default=_TOOLS.calls, ge=1, description="Function calls of one round that are run, all at once."
    )

    def class_reserve(self) -> tuple[float, float]:
        """What is kept from standard and low together, and from low."""
        return self.priority_reserve, min(1.0, self.priority_reserve + self.standard_reserve)

    def tool_limits(self) -> ToolLimits:
        return ToolLimits(self.max_tool_rounds, self.max_tool_calls)

    def failover(self) -> FailoverPolicy:
        return FailoverPolicy(self.target_tries, self.retry_pause_s, self.target_patience_s)

    def cooling(self) -> CoolingPolicy:
        return CoolingPolicy(self.cooldown_failures, self.cooldown_first_s, self.cooldown_most_s)

    def budgets(self) -> Budgets:
        return Budgets(self.connect_timeout_s, self.first_event_timeout_s, self.event_gap_timeout_s)

    def pools(self) -> list[str] | None:
        """The pools to serve; None: all."""
        named = [name.strip() for name in self.executor_pools.split(",") if name.strip()]
        return named or None
