"""Connections: slow and fat senders, how a connection ends, and what we rely on in uvicorn."""

import asyncio
import contextlib
import socket

import pytest
from starlette.types import Receive, Scope, Send

from tests.client.answerer import Answerer
from tests.gateway.answers import whole
from tests.gateway.conftest import ScriptedGateway, Surroundings
from tests.gateway.http_wire import connected
from tokenbus_gateway.edge import WIRE, EdgeLimits, EdgeProtocol
from tokenbus_gateway.endpoint import Times
from tokenbus_gateway.server import ServerOptions, listen, serving

RESPONSES = {"model": "openai/gpt-4.1-mini", "input": "Hi", "stream": True}


class TestSlowSenders:
    """Each stage of a request has its time."""

    @pytest.fixture
    def around(self) -> Surroundings:
        edge = EdgeLimits(head_timeout_s=0.3, head_bytes=8192, linger_s=0.3)
        return Surroundings(edge=edge, times=Times(body_s=0.3), max_body_bytes=10_000)

    @pytest.mark.parametrize("sent", [b"", b"POST /v1/resp", b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nA: b"])
    async def test_a_head_that_does_not_end_closes_the_connection(self, gateway: ScriptedGateway, sent: bytes) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            wire.writer.write(sent)
            assert await closed(wire.reader) == b""

    async def test_so_does_a_second_one_on_the_same_connection(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            status, _, _ = await (await wire.get("/nowhere")).reply()
            assert status == 404
            wire.writer.write(b"GET /v1/mod")
            assert await closed(wire.reader) == b""

    async def test_headers_without_end_are_refused(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            wire.writer.write(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionError):
                for number in range(100):
                    wire.writer.write(b"X-%d: %b\r\n" % (number, b"x" * 1000))
                    await wire.writer.drain()
            # A reset may overtake the response: it was still sending.
            assert (await closed(wire.reader)).startswith((b"HTTP/1.1 431 ", b""))

    async def test_a_body_that_does_not_end_is_refused(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            headers = {"Host": "x", "Content-Type": "application/json", "Content-Length": "100"}
            await wire.send("POST", "/v1/responses", headers=headers, body=b"{")
            status, _, body = await wire.reply()
            assert (status, body["error"]["code"]) == (408, "request_timeout")
            assert await closed(wire.reader) == b""

    async def test_a_body_over_the_limit_is_refused_before_it_is_sent(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            headers = {"Host": "x", "Content-Type": "application/json", "Content-Length": "10001"}
            await wire.send("POST", "/v1/responses", headers=headers)
            status, _, body = await wire.reply()
        assert (status, body["error"]["code"]) == (413, "payload_too_large")

    async def test_so_is_one_that_does_not_say_how_long_it_is(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire, asyncio.timeout(2):
            headers = {"Host": "x", "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
            await wire.send("POST", "/v1/responses", headers=headers, body=b"2710\r\n" + b" " * 10_000 + b"\r\n")
            wire.writer.write(b"1\r\n \r\n")
            status, _, body = await wire.reply()
        assert (status, body["error"]["code"]) == (413, "payload_too_large")

    async def test_an_idle_client_that_keeps_its_connection_is_left_alone(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire:
            assert (await (await wire.get("/nowhere")).reply())[0] == 404
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.6):
                    await wire.reader.read(1)
            assert (await (await wire.get("/nowhere")).reply())[0] == 404


async def test_a_stream_is_cut_and_not_ended_when_no_end_comes(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES, headers={"Tokenbus-Timeout": "0.2"})
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole(request, ["Hi"])[:5])
        await wire.head()
        await wire.chunk()
        async with asyncio.timeout(3):
            error = await wire.chunk()
            with pytest.raises(asyncio.IncompleteReadError):
                await wire.chunk()
    assert error.startswith(b'event: error\ndata: {"type":"error","sequence_number":5,"code":"deadline_exceeded"')


async def test_tokens_are_not_held_back_by_nagle() -> None:
    found: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        wire: EdgeProtocol = scope["extensions"][WIRE][WIRE].protocol
        found.append(wire.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with listen("127.0.0.1", 0) as listener:
        async with (
            serving(app, listener, options=ServerOptions(max_message_bytes=1000)),
            connected(int(listener.getsockname()[1])) as wire,
        ):
            await (await wire.get("/")).head()
    assert found == [1]


async def test_a_pipelined_request_is_answered_after_the_first(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        await wire.get("/nowhere")
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole(request, ["Hi"]))
        assert (await wire.head())[0] == 200
        assert len(await wire.chunks()) > 0
        assert (await wire.reply())[0] == 404


async def test_the_disconnect_of_a_pipelining_client_cancels_what_is_being_answered(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = (await answerer.requests.get()).headers
        lines = whole(request, ["Hi", "there"])
        await wire.get("/nowhere")
        await answerer.publish(request, lines[:5])
        await wire.head()
    await answerer.publish(request, lines[5:6])  # reading is paused behind a pipelined request: a write finds out
    await answerer.publish(request, lines[6:7])
    async with asyncio.timeout(2):
        assert await answerer.cancels.get() == request.request_id


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection was closed."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""
