"""What every answer of a process shares."""

import random
from dataclasses import dataclass

from tokenbus.bus import Bus
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import Topology
from tokenbus_executor.cooldowns import CoolDowns
from tokenbus_executor.directory import ProviderDirectory
from tokenbus_executor.failover import FailoverPolicy, Latencies
from tokenbus_executor.pools import ServedPools
from tokenbus_executor.stops import Stops
from tokenbus_executor.tool_surroundings import ToolSurroundings
from tokenbus_executor.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Made once by `app.py`."""

    bus: Bus
    topology: Topology
    pools: ServedPools
    terminal: TerminalWriter
    stops: Stops
    providers: ProviderDirectory
    upstreams: Upstreams
    cooldowns: CoolDowns
    latencies: Latencies
    failover: FailoverPolicy
    chance: random.Random
    tools: ToolSurroundings
