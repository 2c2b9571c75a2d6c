"""What senders try who mean harm: two readings of one request, tokens that choke a parser, log lines without end."""

import asyncio
import base64
import json
import logging

import jwt
import pytest
from websockets.asyncio.client import connect

from tests.client.answerer import Answerer, numbered
from tests.conftest import eventually
from tests.gateway.answers import assembly, text_events
from tests.gateway.conftest import ScriptedGateway, Surroundings
from tests.gateway.http_wire import connected
from tokenbus_gateway.access.access_file import AccessFile
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.api_errors import RefusedError
from tokenbus_gateway.endpoint import Times
from tokenbus_schemas import Event

BODY = b'{"model":"openai/gpt-4.1-mini","input":"Hi"}'
POST = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HIDDEN = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"

TWO_READINGS = {
    "a length and chunks": POST + LENGTH + CHUNKED + b"\r\n" + HIDDEN,
    "chunks and a length": POST + CHUNKED + LENGTH + b"\r\n" + HIDDEN,
    "two lengths": POST + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "a list of lengths": POST + b"Content-Length: 44, 44\r\n\r\n" + BODY,
    "a signed length": POST + b"Content-Length: +44\r\n\r\n" + BODY,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + HIDDEN,
    "chunks that are not the last coding": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
    "a folded header": POST + b"tracestate: a=b\r\n X-A: c\r\n" + LENGTH + b"\r\n" + BODY,
    "a bare CR": POST + b"X-A: a\rContent-Length: 3\r\n" + LENGTH + b"\r\n" + BODY,
    "bare LFs": (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "a NUL": POST + b"X-A: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "a chunk over all numbers": POST + CHUNKED + b"\r\nfffffffffffffffff\r\n" + BODY,
    "a chunk longer than it says": POST + CHUNKED + b"\r\n5\r\n" + BODY + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", TWO_READINGS.values(), ids=TWO_READINGS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_and_its_connection_closed(
    gateway: ScriptedGateway, answerer: Answerer, sent: bytes
) -> None:
    async with connected(gateway.port) as wire, asyncio.timeout(10):
        wire.writer.write(sent)
        answer = await wire.reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answerer.requests.empty()


async def test_header_values_of_any_bytes_reach_no_header_of_the_bus(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    strange = b"traceparent: \xff\xfe\r\ntracestate: a=\xff\r\nX-LiveKit-Room-ID: \xff\tNats-Msg-Id: 1\r\n"
    async with connected(gateway.port) as wire, asyncio.timeout(10):
        wire.writer.write(POST + strange + LENGTH + b"\r\n" + BODY)
        headers = (await answerer.requests.get()).headers
    assert (headers.traceparent, headers.tracestate) == (None, None)


def unsigned(claims: bytes, *, head: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    """A token with these bytes for its JSON."""
    return ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, claims, b"no")])


SECRET = "a-secret-of-livekit-that-is-long-enough"

HOSTILE_TOKENS = {
    "nested claims": unsigned(b"[" * 20_000 + b"]" * 20_000),
    "a nested issuer": unsigned(b'{"iss":' * 6_000 + b"1" + b"}" * 6_000),
    "a nested head": unsigned(b"{}", head=b"[" * 20_000),
    "a number of 40,000 digits": unsigned(b'{"iss":' + b"9" * 40_000 + b"}"),
    "an issuer of 40,000 letters": unsigned(b'{"iss":"' + b"k" * 40_000 + b'"}'),
    "half a character": unsigned(rb'{"iss":"\ud800"}'),
    "no ASCII": "é.é.é",
    "only dots": "..",
    "claims that are a list": unsigned(b'["APIk"]'),
    "an algorithm that is no name": unsigned(b'{"iss":"APIk"}', head=b'{"alg":["HS256"]}'),
    "an endless expiry": jwt.encode({"iss": "APIk", "exp": float("inf")}, SECRET, "HS256"),
    "no expiry": jwt.encode({"iss": "APIk", "inference": {"perform": True}}, SECRET, "HS256"),
}


@pytest.mark.parametrize("token", HOSTILE_TOKENS.values(), ids=HOSTILE_TOKENS)
def test_a_hostile_token_is_refused_and_not_quoted(token: str) -> None:
    known = Authenticator(
        AccessFile.model_validate({"livekit": [{"key": "APIk", "secret_env": "SECRET"}]}),
        environment={"SECRET": SECRET},
    )
    with pytest.raises(RefusedError) as caught:
        known.caller(f"Bearer {token}")
    assert caught.value.error.status == 401
    assert len(caught.value.error.message) < 200
    assert "kkkk" not in caught.value.error.message


async def test_no_sender_makes_a_log_line_long(
    gateway: ScriptedGateway, answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    long = "m" * 50_000
    with caplog.at_level(logging.INFO):
        async with connected(gateway.port) as wire, asyncio.timeout(20):
            await (await wire.get(f"/v1/models/{long}")).reply()
            await wire.post("/v1/responses", {"model": long, "input": "x"})
            await answerer.requests.get()
        async with connect(f"ws://127.0.0.1:{gateway.port}/v1/responses") as socket, asyncio.timeout(20):
            await socket.send(json.dumps({"type": "response.create", "model": long, "input": "x"}))
            await answerer.requests.get()
        await eventually(lambda: {"request", "turn"} <= {record.message for record in caplog.records}, timeout_s=20)
    lines = [record for record in caplog.records if record.name.startswith("tokenbus")]
    assert max(len(str(value)) for record in lines for value in vars(record).values()) < 2000


class TestSlowSockets:
    """A WebSocket client that does not read."""

    @pytest.fixture
    def around(self) -> Surroundings:
        return Surroundings(buffer_bytes=64 * 1024, times=Times(write_s=1.0))

    async def test_one_is_given_up_and_its_request_cancelled(
        self, gateway: ScriptedGateway, answerer: Answerer
    ) -> None:
        answerer.page_events = 10
        async with connect(f"ws://127.0.0.1:{gateway.port}/v1/responses", max_queue=1, max_size=None) as socket:
            await socket.send(json.dumps({"type": "response.create", "model": "openai/gpt-4.1-mini", "input": "Hi"}))
            request = (await answerer.requests.get()).headers
            padding = [Event("tokenbus:test.padding", b',"padding":"%b"' % (b"x" * 50_000)) for _ in range(400)]
            for line in numbered(text_events(assembly(request), ["The "]) + padding):
                await answerer.publish(request, [line])
            async with asyncio.timeout(15):
                assert await answerer.cancels.get() == request.request_id
            socket.transport.abort()
