"""The SSE decoder: any chunking, every line end, bounded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_translate import EventTooLargeError, SSEDecoder

_END = st.sampled_from([b"\n", b"\r", b"\r\n"])
_payload = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1).map(str.encode)


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[bytes], int]:
    """A body, its payloads and its number of comments."""
    body, comments = b"", 0
    payloads: list[bytes] = []
    for _ in range(draw(st.integers(0, 6))):
        end = draw(_END)
        lines = draw(st.lists(_payload.map(lambda text: text.lstrip(b" ") or b"x"), min_size=1, max_size=3))
        for line in lines:
            if draw(st.booleans()):
                body += draw(st.sampled_from([b": ping", b":"])) + end
                comments += 1
            if draw(st.booleans()):
                body += draw(st.sampled_from([b"event: x", b"id: 1", b"retry", b"unknown: y"])) + end
            body += draw(st.sampled_from([b"data: ", b"data:"])) + line + end
        body += end
        payloads.append(b"\n".join(lines))
    return body, payloads, comments


@given(stream=_streams(), cuts=st.lists(st.integers(0, 2**16), max_size=40))
def test_any_chunking_and_any_line_end_gives_the_same_payloads(
    stream: tuple[bytes, list[bytes], int], cuts: list[int]
) -> None:
    body, payloads, comments = stream
    decoder = SSEDecoder()
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    decoded = [payload for a, b in pairwise(places) for payload in decoder.feed(body[a:b])]
    assert decoded + decoder.close() == payloads
    assert decoder.comments == comments


@given(stream=_streams())
def test_byte_by_byte_gives_the_same_payloads(stream: tuple[bytes, list[bytes], int]) -> None:
    body, payloads, _ = stream
    decoder = SSEDecoder()
    decoded = [payload for byte in body for payload in decoder.feed(bytes([byte]))]
    assert decoded + decoder.close() == payloads


@pytest.mark.parametrize(
    ("body", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"event: x\ndata: a\n\n", [b"a"]),
        (b"data: a\nevent: x\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b": ping\n\n:\n\ndata: a\n\n", [b"a"]),
        (b"data\n\ndata:\n\nevent: x\n\n", []),
        (b"dataset: a\n\n", []),
    ],
)
def test_what_stands_in_a_stream(body: bytes, payloads: list[bytes]) -> None:
    assert SSEDecoder().feed(body) == payloads


def test_an_event_that_lacks_its_blank_line_counts_at_the_end_and_a_cut_line_does_not() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: whole\n") == []
    assert decoder.close() == [b"whole"]
    assert decoder.feed(b"data: cut") == []
    assert decoder.close() == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_over_the_limit_is_an_error_in_any_chunking(size: int) -> None:
    body = b"data: " + b"x" * 100 + b"\n\n"
    exact, small = SSEDecoder(max_event_bytes=100), SSEDecoder(max_event_bytes=99)
    chunks = [body[place : place + size] for place in range(0, len(body), size)]
    assert [payload for chunk in chunks for payload in exact.feed(chunk)] == [b"x" * 100]
    with pytest.raises(EventTooLargeError, match="99"):
        _ = [small.feed(chunk) for chunk in chunks]


def test_a_flood_without_any_line_end_is_held_to_the_limit() -> None:
    decoder = SSEDecoder(max_event_bytes=1_000)
    with pytest.raises(EventTooLargeError):
        _ = [decoder.feed(b"x" * 100) for _ in range(12)]


def test_an_event_of_endless_lines_is_held_to_the_limit() -> None:
    decoder = SSEDecoder(max_event_bytes=1_000)
    with pytest.raises(EventTooLargeError):
        _ = [decoder.feed(b"data: " + b"x" * 94 + b"\n") for _ in range(12)]
