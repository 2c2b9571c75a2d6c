"""What the reply subject of a delivery says. Source: ADR-15 of nats-io/nats-architecture-and-design."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import eventually
from tokenbus.bus import Bus
from tokenbus_chassis.delivery import Delivery, DeliveryFacts, parse_ack_subject

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
COUNTS = st.integers(0, 2**40)


@given(NAMES, NAMES, COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from(["", "_.hash.", "hub.AbC."]))
def test_both_forms_are_read(
    stream: str, consumer: str, attempt: int, sequence: int, number: int, waiting: int, domain: str
) -> None:
    tail = ".random" if domain else ""
    reply = f"$JS.ACK.{domain}{stream}.{consumer}.{attempt}.{sequence}.{number}.1795365855682520732.{waiting}{tail}"
    facts = parse_ack_subject(reply)
    assert facts == DeliveryFacts(consumer, attempt, sequence, number, 1795365855.6825207, waiting)


@pytest.mark.parametrize("reply", ["", "_INBOX.x", "$JS.ACK.S.c.1.2.3", "$JS.ACK.S.c.a.b.c.d.e"])
def test_any_other_subject_is_refused(reply: str) -> None:
    with pytest.raises(ValueError):
        parse_ack_subject(reply)


def delivered(bus: Bus, root: str, *, attempt: int) -> Delivery:
    """Of one message; its settlements go to a subject under `root`."""
    return Delivery(root, b"", {}, 1, attempt, attempt, 1.0, 0, "c", _reply=f"{root}.settled.{attempt}", _bus=bus)


async def test_what_settled_one_delivery_is_said_again_for_the_next(bus: Bus, root: str) -> None:
    said: list[tuple[str, bytes]] = []
    await bus.subscribe(f"{root}.settled.*", lambda message: said.append((message.subject, message.data)))
    first, second = (delivered(bus, root, attempt=attempt) for attempt in (1, 2))
    await first.ack()
    assert await second.settle_as(first)
    await eventually(lambda: len(said) == 2)
    assert said == [(f"{root}.settled.1", b"+ACK"), (f"{root}.settled.2", b"+ACK")]


async def test_a_delivery_that_was_given_up_settles_no_other(bus: Bus, root: str) -> None:
    first, second = (delivered(bus, root, attempt=attempt) for attempt in (1, 2))
    first.abandon()
    assert not await second.settle_as(first)
