"""Dead letters are stored whatever the message brought along."""

import pytest

from tokenbus.bus import Bus
from tokenbus_chassis.topology import ensure_topology, topology
from tokenbus_router.dead_letters import DeadLetters
from tokenbus_router.intake import Arrival
from tokenbus_schemas import ErrorBody, ErrorCode
from tokenbus_schemas.headers import ORIGIN, REASON, TIMEOUT

WRONG = ErrorBody(ErrorCode.INVALID_HEADER, "header Tokenbus-Request-Id: is missing", "Tokenbus-Request-Id")


@pytest.mark.parametrize("name", ["tokenbus-\x01x", "Tokenbus-ä", "Nats-Rollup", "trace:parent"])
async def test_a_header_that_could_not_be_sent_again_is_left_out(bus: Bus, root: str, name: str) -> None:
    stored = topology(root)
    await ensure_topology(bus, stored)
    arrival = Arrival(f"{root}.requests.default.standard", {name: "all", TIMEOUT: "5"}, b"{}", 1_790_000_000.0)

    await DeadLetters(bus, subjects=stored.subjects).bury(arrival, error=WRONG)

    kept = await bus.last_message(stored.dead.name, stored.subjects.dead("requests"))
    assert kept is not None
    assert kept.data == b"{}"
    assert set(kept.headers) == {TIMEOUT, REASON, ORIGIN}
