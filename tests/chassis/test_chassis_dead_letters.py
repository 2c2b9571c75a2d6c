"""Dead letters are stored whatever the message brought along, and once."""

import time

import pytest

from tokenbus.bus import Bus, Message
from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery import Delivery, delivery
from tokenbus_chassis.topology import ensure_topology, topology
from tokenbus_schemas.headers import ORIGIN, REASON, TIMEOUT


def delivered(bus: Bus, *, root: str, headers: dict[str, str]) -> Delivery:
    reply = f"$JS.ACK.S.c.1.1.1.{time.time_ns()}.0"
    return delivery(Message(f"{root}.requests.default.standard", b"{}", headers, reply), bus=bus)


@pytest.mark.parametrize("name", ["tokenbus-\x01x", "Tokenbus-ä", "Nats-Rollup", "trace:parent"])
async def test_a_header_that_could_not_be_sent_again_is_left_out(bus: Bus, root: str, name: str) -> None:
    stored = topology(root)
    await ensure_topology(bus, stored)
    letters = DeadLetters(bus, subjects=stored.subjects, kind="requests")

    await letters.bury(delivered(bus, root=root, headers={name: "all", TIMEOUT: "5"}), reason="code: why")

    kept = await bus.last_message(stored.dead.name, stored.subjects.dead("requests"))
    assert kept is not None
    assert kept.data == b"{}"
    assert {TIMEOUT, REASON, ORIGIN} <= set(kept.headers) <= {TIMEOUT, REASON, ORIGIN, "Nats-Msg-Id"}


async def test_a_message_that_is_buried_again_after_a_crash_is_one_dead_letter(bus: Bus, root: str) -> None:
    stored = topology(root)
    await ensure_topology(bus, stored)
    letters = DeadLetters(bus, subjects=stored.subjects, kind="requests")
    message = delivered(bus, root=root, headers={})

    await letters.bury(message, reason="code: why")
    await letters.bury(message, reason="code: why")

    page = await bus.read_stored(stored.dead.name, f"{root}.dead.>")
    assert len(page.messages) == 1
