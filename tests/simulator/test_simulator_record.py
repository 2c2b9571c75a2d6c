"""The record of requests, in code and over HTTP, and how soon it knows that a client is gone."""

import asyncio
import json
import time

import aiohttp
import pytest
from openai import AsyncOpenAI

from tokenbus_simulator import Record, Simulator, fingerprint

PHASES = {
    "before the first byte": ("fault=silent", True),
    "after the headers": ("fault=headers", True),
    "among comments": ("fault=comments;repeat=10", True),
    "before the first token": ("ttft=60000", True),
    "between tokens": ("rate=20;tokens=5000", True),
    "in a burst nobody reads": ("tokens=200000", True),
    "after a stall": ("fault=stall;after=3", True),
    "before a plain answer": ("ttft=60000", False),
}


async def test_requests_are_remembered_with_headers_and_body_but_no_credentials(
    simulator: Simulator, openai: AsyncOpenAI
) -> None:
    await openai.responses.create(model="gpt-4.1-mini", input="Remember me", extra_headers={"X-Trace": "t-1"})
    exchange = simulator.record[0]
    assert (exchange.method, exchange.path, exchange.model) == ("POST", "/v1/responses", "gpt-4.1-mini")
    assert exchange.body == {"model": "gpt-4.1-mini", "input": "Remember me"}
    assert exchange.headers["x-trace"] == "t-1"
    assert exchange.headers["authorization"] == fingerprint("Bearer sk-secret")
    assert "sk-secret" not in repr(exchange)


async def test_a_finished_exchange_knows_its_status_and_what_was_sent(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    async with http.post("responses", json={"model": "sim;tokens=9", "stream": True}) as answer:
        body = await answer.read()
    async with asyncio.timeout(5):
        exchange = await simulator.record.wait_for(lambda one: one.finished_at is not None)
    assert (exchange.status, exchange.tokens_sent, exchange.bytes_sent) == (200, 9, len(body))
    assert exchange.closed_at is None
    assert exchange.first_byte_at is not None
    assert exchange.finished_at is not None
    assert exchange.received_at <= exchange.first_byte_at <= exchange.finished_at


async def test_wrong_requests_are_remembered_too(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    await http.post("responses", data=b"{no json")
    await http.get("elsewhere")
    assert [(one.path, one.body, one.status) for one in simulator.record] == [
        ("/v1/responses", "{no json", 400),
        ("/v1/elsewhere", None, 404),
    ]


async def test_the_record_is_read_filtered_and_cleared_over_http(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    for model, tag in (("a", "1"), ("b", "1"), ("b", "2")):
        await http.post("responses", json={"model": model}, headers={"X-Tag": tag})
    root = f"http://127.0.0.1:{simulator.port}/_sim/requests"

    async def numbers(query: dict[str, str]) -> list[int]:
        async with http.get(root, params=query) as answer:
            return [one["number"] for one in await answer.json()]

    assert await numbers({}) == [1, 2, 3]
    assert await numbers({"model": "b"}) == [2, 3]
    assert await numbers({"header": "x-tag:1"}) == [1, 2]
    assert await numbers({"header": "x-tag", "model": "a"}) == [1]
    assert await numbers({"header": "x-absent"}) == []
    await http.delete(root)
    assert await numbers({}) == []
    assert len(simulator.record) == 0


async def test_the_record_forgets_the_oldest_when_it_is_full() -> None:
    record = Record(2)
    for path in ("/1", "/2", "/3"):
        record.open("GET", path, headers=(), body=None)
    assert [one.path for one in record] == ["/2", "/3"]


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_client_that_leaves_is_noticed_at_once_in_every_phase(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, path: str, phase: str
) -> None:
    script, stream = PHASES[phase]
    body = {"model": "sim", "stream": stream, "input": "Hi"}
    if path == "chat/completions":
        body = {"model": "sim", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    payload = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(
        f"POST /v1/{path} HTTP/1.1\r\nhost: sim\r\nx-simulator-script: {script}\r\n"
        f"content-length: {len(payload)}\r\n\r\n".encode()
        + payload
    )
    async with asyncio.timeout(5):
        if "silent" in script:
            await simulator.record.wait_for(lambda one: one.path.endswith(path))
        else:
            await reader.readuntil(b"\r\n\r\n")
        left_at = time.time()
        writer.close()
        exchange = await simulator.record.wait_for(lambda one: one.closed_at is not None)
    assert exchange.closed_at is not None
    assert exchange.closed_at - left_at < 1
    assert exchange.finished_at is None
    assert caplog.records == []


async def test_leaving_the_sdks_stream_is_noticed_mid_answer(simulator: Simulator, openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model="sim;rate=50;tokens=5000", input="Hi", stream=True)
    seen = 0
    async with stream:
        async for event in stream:
            seen += event.type == "response.output_text.delta"
            if seen == 3:
                break
    async with asyncio.timeout(5):
        exchange = await simulator.record.wait_for(lambda one: one.closed_at is not None)
    assert 3 <= exchange.tokens_sent < 50


async def test_many_clients_that_leave_a_fast_stream_are_no_error_of_the_simulator(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, http: aiohttp.ClientSession
) -> None:
    for _ in range(50):
        answer = await http.post("responses", json={"model": "sim;rate=5000;tokens=5000", "stream": True})
        await answer.content.readuntil(b"output_text.delta")
        answer.close()
    async with asyncio.timeout(5):
        for number in range(1, 51):
            await simulator.record.wait_for(
                lambda one, number=number: one.number == number and one.closed_at is not None
            )
    assert caplog.records == []


async def test_leaving_the_block_ends_answers_that_hang() -> None:
    async with asyncio.timeout(5), aiohttp.ClientSession() as session:
        async with Simulator() as simulator:
            answer = await session.post(f"{simulator.base_url}/responses", json={"model": "sim-headers"})
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
