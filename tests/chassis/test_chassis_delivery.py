"""What the reply subject of a delivery says. Source: ADR-15 of nats-io/nats-architecture-and-design."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_chassis.delivery import DeliveryFacts, parse_ack_subject

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
