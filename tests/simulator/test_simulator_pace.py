"""When things are written: the pure schedule, and the clock."""

import asyncio
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_simulator.pace import Pace, schedule
from tokenbus_simulator.plan import Plan
from tokenbus_simulator.wire import Frame, SseStyle, encode

STYLE = SseStyle()
FRAMES = st.lists(st.builds(Frame, st.just(b""), st.binary(max_size=20), st.integers(0, 1)), max_size=60)


def token(number: int) -> Frame:
    return Frame(b"", b"%d" % number, 1)


@given(
    opening=FRAMES,
    body=FRAMES,
    rate=st.sampled_from([0, 50]),
    burst=st.integers(0, 5),
    chunk_bytes=st.integers(1, 100),
    first_token_s=st.sampled_from([0, 0.5]),
)
def test_every_byte_and_token_is_written_once_in_order_whatever_the_pace(
    opening: list[Frame], body: list[Frame], rate: float, burst: int, chunk_bytes: int, first_token_s: float
) -> None:
    pace = Pace(first_token_s, rate, burst, chunk_bytes)
    plan = Plan(writes=schedule(opening, body, pace=pace, style=STYLE), chunk_bytes=chunk_bytes)
    writes = list(plan.due())
    pieces = [piece for write in writes for piece in plan.cut(write.data)]
    assert b"".join(pieces) == b"".join(encode(f, style=STYLE) for f in opening + body)
    assert sum(write.tokens for write in writes) == sum(frame.tokens for frame in opening + body)
    assert [write.at_s for write in writes] == sorted(write.at_s for write in writes)
    assert all(0 < len(piece) <= chunk_bytes for piece in pieces)


def test_tokens_are_due_at_their_rate_and_other_events_with_the_next_token() -> None:
    opening, added, done = Frame(b"", b"opening"), Frame(b"", b"added"), Frame(b"", b"done")
    pace = Pace(first_token_s=0.5, tokens_per_s=100, burst=0, chunk_bytes=1000)
    writes = schedule([opening], [added, token(1), token(2), done], pace=pace, style=STYLE)
    assert [(write.at_s, write.data) for write in writes] == [
        (0.0, b"data: opening\n\n"),
        (0.5, b"data: added\n\ndata: 1\n\n"),
        (0.51, b"data: 2\n\ndata: done\n\n"),
    ]


@pytest.mark.parametrize(("rate", "times"), [(10, [0, 0.3, 0.6]), (0, [0, 0, 0])])
def test_a_burst_puts_its_tokens_into_one_write(rate: float, times: list[float]) -> None:
    pace = Pace(first_token_s=0, tokens_per_s=rate, burst=3, chunk_bytes=1000)
    writes = schedule([], [token(number) for number in range(8)], pace=pace, style=STYLE)
    assert [write.tokens for write in writes] == [3, 3, 2]
    assert [write.at_s for write in writes] == pytest.approx(times)


async def test_a_paced_stream_keeps_to_the_clock_without_drift(http: aiohttp.ClientSession) -> None:
    request = {"model": "sim;ttft=100;rate=200;tokens=101", "stream": True}
    started = time.monotonic()
    async with asyncio.timeout(10), http.post("responses", json=request) as answer:
        delta = b"event: response.output_text.delta"
        arrivals = [time.monotonic() - started async for line in answer.content if line.startswith(delta)]
    assert len(arrivals) == 101
    lateness = [arrival - 0.1 - number / 200 for number, arrival in enumerate(arrivals)]
    assert min(lateness) > -0.001  # timers count milliseconds
    # A sleep per token would add its overhead a hundred times; the best of the last twenty shows it on a busy machine.
    assert min(lateness[-20:]) < 0.05


async def test_small_writes_cut_events_apart(http: aiohttp.ClientSession) -> None:
    pieces: list[bytes] = []
    async with http.post("responses", json={"model": "sim;tokens=3;bytes=7", "stream": True}) as answer:
        async for data, _ in answer.content.iter_chunks():
            pieces.append(data)
    assert len(pieces) > 100
    assert max(map(len, pieces)) == 7
