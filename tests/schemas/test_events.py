"""Events on the wire: numbering, the prefix that readers rely on, and messages of several lines."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import (
    ATTEMPT_STRIDE,
    Event,
    EventLine,
    MalformedEventError,
    encode,
    encode_message,
    split_message,
)

TYPES = st.from_regex(r"(tokenbus:)?response\.[a-z_]{1,20}(\.[a-z_]{1,20})?", fullmatch=True)
FIELDS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda key: key not in {"type", "sequence_number"}),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)),
    max_size=4,
)


def event(kind: str, fields: dict[str, object]) -> Event:
    return Event(kind, "".join(f",{json.dumps(key)}:{json.dumps(value)}" for key, value in fields.items()).encode())


@given(TYPES, st.integers(min_value=0, max_value=2**53), FIELDS)
def test_an_encoded_event_reads_back_the_same(kind: str, number: int, fields: dict[str, object]) -> None:
    line = EventLine(encode(event(kind, fields), number))

    assert (line.type, line.sequence_number) == (kind, number)
    assert line.data == {"type": kind, "sequence_number": number, **fields}


@given(st.lists(st.tuples(TYPES, FIELDS), max_size=5), st.integers(min_value=0, max_value=2**40))
def test_a_message_holds_its_events_in_order_and_numbers_them_upward(
    parts: list[tuple[str, dict[str, object]]], first: int
) -> None:
    lines = split_message(encode_message([event(kind, fields) for kind, fields in parts], first=first))

    assert [line.type for line in lines] == [kind for kind, _ in parts]
    assert [line.sequence_number for line in lines] == list(range(first, first + len(parts)))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"sequence_number":1,"type":"a"}',
        b'{"type":"a"}',
        b'{"type": "a", "sequence_number": 1}',
        b'{"type":"a","sequence_number":}',
        b'{"type":"a","sequence_number":-1}',
        b'{"type":"a","sequence_number":x}',
        b'{"type":"unfinished',
    ],
)
def test_a_line_without_the_prefix_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedEventError):
        EventLine(raw)


@given(st.binary(max_size=80))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    with contextlib.suppress(MalformedEventError):
        EventLine(b'{"type":"' + raw + b'","sequence_number":1}')


def test_a_line_that_is_no_json_is_refused_when_its_data_is_read() -> None:
    line = EventLine(b'{"type":"a","sequence_number":1,"delta":"unfinished')

    with pytest.raises(MalformedEventError):
        _ = line.data


def test_the_attempt_follows_from_the_sequence_number() -> None:
    numbers = [0, ATTEMPT_STRIDE - 1, ATTEMPT_STRIDE, 2 * ATTEMPT_STRIDE + 5]

    assert [EventLine(encode(Event("a", b""), number)).attempt for number in numbers] == [1, 1, 2, 3]


def test_the_content_of_an_event_stays_out_of_its_repr() -> None:
    assert "secret" not in repr(EventLine(b'{"type":"a","sequence_number":1,"delta":"secret"}'))
