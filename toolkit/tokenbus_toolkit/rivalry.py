"""Two hosts, one tool name, two schemas: what then. Pure.

Calls of one name are shared by all its hosts, so a model's call must mean the same to each of them.

- Replicas of one *service* (by its name) may differ: that is a rolling update. Callers see the newest version's schema;
  a call that the other version can not read is answered with its problems, and the model tries again. It is reported.
- Two services are two authors, and one of them would run what was meant for the other. The name belongs to whoever
  offered it first; the later one is refused it until it is free. It is reported.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tokenbus.tool_discovery import ToolOffer
from tokenbus_schemas.tools import ToolDescription


class Rivalry(NamedTuple):
    """Who offers another schema under the same name. `refuses`: ours must not be served."""

    rival: ToolOffer
    refuses: bool


def judge(
    mine: ToolDescription, *, service: str, since: str, instances: frozenset[str], others: Iterable[ToolOffer]
) -> Rivalry | None:
    """None: everybody agrees. `since`: when this host offered the tool, ISO 8601, UTC; `instances`: its own ids."""
    differing = [
        offer for offer in others if offer.instance not in instances and offer.description.parameters != mine.parameters
    ]
    own_order = since, min(instances, default="")
    earlier = [offer for offer in differing if offer.service != service and (offer.since, offer.instance) < own_order]
    if earlier:
        return Rivalry(min(earlier, key=lambda offer: offer.since), refuses=True)
    return Rivalry(differing[0], refuses=False) if differing else None
