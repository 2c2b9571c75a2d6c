"""Stamped tokens: the time of their write, the same wherever the text is repeated."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from tokenbus_simulator.stamps import Stamper, placeholders

Events = Callable[[bytes], list[dict[str, Any]]]

STAMP_LENGTH = 21


def stamps_in(text: str) -> list[int]:
    assert len(text) % STAMP_LENGTH == 0
    return [int(text[at : at + STAMP_LENGTH - 1]) for at in range(0, len(text), STAMP_LENGTH)]


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
async def test_every_token_is_the_time_of_its_write(http: aiohttp.ClientSession, parse_sse: Events, path: str) -> None:
    request: dict[str, Any] = {"model": "sim;stamp;tokens=20;rate=500", "stream": True}
    if path == "chat/completions":
        request["messages"] = [{"role": "user", "content": "Hi"}]
    began = time.monotonic_ns()
    async with http.post(path, json=request) as answer:
        body = await answer.read()
    events = parse_sse(body)
    chat = [choice["delta"].get("content", "") for event in events for choice in event.get("choices", ())]
    deltas = [event["delta"] for event in events if event.get("type") == "response.output_text.delta"]
    stamps = stamps_in("".join(deltas + chat))
    assert len(stamps) == 20
    assert began < stamps[0]
    assert stamps[-1] < time.monotonic_ns()
    apart = [later - earlier for earlier, later in pairwise(stamps)]
    assert min(apart) > 0
    assert stamps[-1] - began >= 19 / 500 * 1e9  # when the last is due


@pytest.mark.parametrize("tokens", [1, 2, 500])
async def test_the_whole_text_repeats_the_stamps_of_its_tokens(
    http: aiohttp.ClientSession, parse_sse: Events, tokens: int
) -> None:
    request = {"model": f"sim;stamp;tokens={tokens};rate=20000;bytes=100", "stream": True}
    async with http.post("responses", json=request) as answer:
        events = parse_sse(await answer.read())
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert len(stamps_in(text)) == tokens
    assert [event["text"] for event in events if event["type"] == "response.output_text.done"] == [text]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text


async def test_a_plain_answer_is_stamped_too(http: aiohttp.ClientSession) -> None:
    began = time.monotonic_ns()
    async with http.post("responses", json={"model": "sim;stamp"}) as answer:
        stamps = stamps_in((await answer.json())["output"][0]["content"][0]["text"])
    assert len(stamps) == 100
    assert began < stamps[0] < time.monotonic_ns()


async def test_two_streams_of_the_same_request_have_their_own_stamps(http: aiohttp.ClientSession) -> None:
    texts = set[str]()
    for _ in range(2):
        async with http.post("responses", json={"model": "sim;stamp;tokens=3"}) as answer:
            texts.add((await answer.json())["output"][0]["content"][0]["text"])
    assert len(texts) == 2


def test_who_replays_a_stream_repeats_its_stamps_and_goes_on_with_new_ones() -> None:
    token = placeholders(1)[0].encode()
    written: list[bytes] = []
    first = Stamper(3, written=written)
    assert first(token, now_ns=1) + first(token, now_ns=2) == b"%020d %020d " % (1, 2)
    again = Stamper(3, written=written, skipped=1)
    assert again(token, now_ns=9) == b"%020d " % 2
    assert again(token, now_ns=9) == b"%020d " % 9
    assert again(token * 3, now_ns=10) == b"%020d %020d %020d " % (1, 2, 9)
