"""References to payloads: what is cut goes together again, and what is wrong is named."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import ErrorCode, RequestError, parse_payload, parse_piece, refer

DIGEST = "3b" * 32


@given(payload=st.binary(min_size=1, max_size=400), piece_bytes=st.integers(1, 450))
def test_pieces_make_the_payload_again(payload: bytes, piece_bytes: int) -> None:
    ref = refer(payload, piece_bytes=piece_bytes)
    pieces = [ref.piece(payload, index=index) for index in range(ref.pieces)]
    assert b"".join(pieces) == payload
    assert [len(piece) for piece in pieces] == [ref.piece_size(index) for index in range(ref.pieces)]
    assert all(0 < len(piece) <= piece_bytes for piece in pieces)
    assert ref.sha256 == hashlib.sha256(payload).hexdigest()


@given(payload=st.binary(min_size=1, max_size=400), piece_bytes=st.integers(1, 450))
def test_a_reference_reads_as_it_was_written(payload: bytes, piece_bytes: int) -> None:
    ref = refer(payload, piece_bytes=piece_bytes)
    assert parse_payload(ref.to_wire()) == ref


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256=3b;size=1;pieces=1",
        f"sha256={DIGEST};size=0;pieces=1",
        f"sha256={DIGEST};size=10;pieces=0",
        f"sha256={DIGEST};size=10;pieces=6",
        f"sha256={DIGEST};size=3;pieces=9999",
        f"sha256={DIGEST};size=99999999999999;pieces=9",
        f"sha256={DIGEST.upper()};size=3;pieces=1",
        f"sha256={DIGEST};size=3;pieces=1\n",
        f"sha256={DIGEST};size=٣;pieces=1",
    ],
)
def test_a_wrong_reference_is_named(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_payload(text)
    assert (caught.value.body.code, caught.value.body.param) == (ErrorCode.INVALID_HEADER, "Tokenbus-Payload")


@pytest.mark.parametrize("text", ["", "-1", "3", "01", "1.0", "99999999999"])
def test_a_piece_that_is_none_is_named(text: str) -> None:
    with pytest.raises(RequestError, match="from 0 to 2") as caught:
        parse_piece(text, of=refer(b"abc", piece_bytes=1))
    assert caught.value.body.param == "Tokenbus-Piece"
