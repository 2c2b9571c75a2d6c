"""What a client of a stream sees, event by event: when the status comes, what is written together, how it ends."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.client.answerer import Answerer, answering, numbered
from tests.conftest import StartNatsServer, eventually
from tests.gateway.answers import assembly, cancelled_after, failed_after, failed_at_once, text_events, whole
from tests.gateway.conftest import ScriptedGateway, Surroundings, gateway_before
from tests.gateway.http_wire import connected, events_in
from tests.valid_stream import check_stream
from tokenbus.bus import Bus
from tokenbus_gateway.endpoint import Times
from tokenbus_schemas import ErrorBody, ErrorCode, Event, EventLine, RequestHeaders, encode
from tokenbus_translate import Ending

RESPONSES = {"model": "openai/gpt-4.1-mini", "input": "Hi", "stream": True}
CHAT = {"model": "openai/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
PIECES = ["The ", "quick ", "fox"]
CUT = ErrorBody(ErrorCode.UPSTREAM_CUT, "the provider went away")


async def taken(answerer: Answerer) -> RequestHeaders:
    return (await answerer.requests.get()).headers


async def test_a_responses_stream_is_the_events_of_the_bus(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines)
        status, headers = await wire.head()
        body = b"".join(await wire.chunks())

    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-request-id"] == request.request_id
    expected = [b"event: %b\ndata: %b" % (line.type.encode(), line.raw) for line in lines]
    assert body.split(b"\n\n") == [*expected, b"data: [DONE]", b""]
    check_stream(lines)


async def test_the_events_of_one_message_are_one_write(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        parts = [lines[:5], lines[5:6], lines[6:7], lines[7:]]
        sizes: list[int] = []
        for number, part in enumerate(parts):
            await answerer.publish(request, part)
            if number == 0:
                await wire.head()
            sizes.append(len(events_in(await wire.chunk())))
        assert await wire.chunk() == b""
    assert sizes == [len(part) for part in parts]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
async def test_nothing_is_sent_before_the_answer_says_something(
    gateway: ScriptedGateway, answerer: Answerer, path: str
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post(path, RESPONSES if path == "/v1/responses" else CHAT)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines[:2])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await wire.reader.read(1)
        await answerer.publish(request, lines[2:])
        status, _ = await wire.head()
        assert status == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.MODEL_NOT_FOUND, 404),
        (ErrorCode.UNKNOWN_PARAMETER, 400),
        (ErrorCode.UPSTREAM_RATE_LIMIT, 429),
        (ErrorCode.UPSTREAM_UNAVAILABLE, 502),
        (ErrorCode.FIRST_EVENT_TIMEOUT, 504),
        (ErrorCode.TARGET_UNAVAILABLE, 503),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_fails_at_once_is_an_http_error(
    gateway: ScriptedGateway, answerer: Answerer, path: str, code: ErrorCode, status: int, stream: bool
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post(path, {**(RESPONSES if path == "/v1/responses" else CHAT), "stream": stream})
        request = await taken(answerer)
        error = ErrorBody(code, "model: is wrong", "model", retry_after_s=7.2)
        await answerer.publish(request, failed_at_once(request, error))
        found, headers, body = await wire.reply()

    assert found == status
    assert body == {
        "error": {"message": "model: is wrong", "type": error.facts.http_type, "param": "model", "code": code.value}
    }
    advice = (headers.get("retry-after"), headers.get("retry-after-ms"))
    assert advice == (("8", "7200") if status in (429, 503) else (None, None))
    assert headers["x-request-id"] == request.request_id


async def test_a_broken_responses_stream_ends_in_both_error_forms_and_failed(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        await answerer.publish(request, failed_after(request, PIECES, CUT))
        await wire.head()
        body = b"".join(await wire.chunks())

    events = events_in(body)
    error, failed = events[-2:]
    assert body.endswith(b"data: [DONE]\n\n")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (error["type"], error["code"], error["message"]) == ("error", "upstream_cut", CUT.message)
    assert error["error"] == {"message": CUT.message, "type": "server_error", "param": None, "code": "upstream_cut"}
    assert failed["type"] == "response.failed"
    assert failed["response"]["output"][0]["content"][0]["text"] == "".join(PIECES)


async def test_a_broken_chat_stream_ends_in_an_error_and_is_not_done(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/chat/completions", CHAT)
        request = await taken(answerer)
        await answerer.publish(request, failed_after(request, PIECES, CUT))
        await wire.head()
        body = b"".join(await wire.chunks())

    assert b"[DONE]" not in body
    assert events_in(body)[-1] == {
        "error": {"message": CUT.message, "type": "server_error", "param": None, "code": "upstream_cut"}
    }


async def test_a_cancelled_chat_answer_is_no_whole_answer(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/chat/completions", CHAT)
        request = await taken(answerer)
        await answerer.publish(request, cancelled_after(request, PIECES))
        await wire.head()
        events = events_in(b"".join(await wire.chunks()))
    assert events[-1]["error"]["code"] == "cancelled"
    assert all(choice["finish_reason"] is None for event in events[:-1] for choice in event["choices"])


async def test_lost_messages_are_healed_before_the_client_sees_what_follows(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        lines = whole(request, [f"{number} " for number in range(40)])
        await answerer.publish(request, lines[:6])
        await wire.head()
        answerer.store(request, lines[6:9])
        await answerer.publish(request, lines[9:])
        events = events_in(b"".join(await wire.chunks()))
    assert events == [line.data for line in lines]


async def test_the_loss_of_the_end_is_found_by_silence(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/chat/completions", CHAT)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        for line in lines[:-1]:
            await answerer.publish(request, [line])
        answerer.store(request, lines[-1:])
        await wire.head()
        events = events_in(b"".join(await wire.chunks()))
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


async def test_text_that_is_lost_for_good_is_told_at_the_end(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/chat/completions", CHAT)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines[:5])
        await answerer.publish(request, lines[6:])
        await wire.head()
        events = events_in(b"".join(await wire.chunks()))
    told = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert told == "".join(PIECES)


async def test_a_malformed_message_breaks_no_stream(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines[:5])
        await wire.head()
        malformed = EventLine(encode(Event("x", b""), 0))
        malformed.raw = b"no event at all"
        await answerer.publish(request, [malformed], stored=False)
        await answerer.publish(request, lines[5:])
        events = events_in(b"".join(await wire.chunks()))
    assert events == [line.data for line in lines]


@pytest.mark.parametrize("published", [0, 2, 6])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_cancels_its_request(
    gateway: ScriptedGateway, answerer: Answerer, published: int, stream: bool
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**RESPONSES, "stream": stream})
        request = await taken(answerer)
        if published:
            await answerer.publish(request, whole(request, PIECES)[:published])
        if published == 6 and stream:
            await wire.head()
    async with asyncio.timeout(1):
        assert await answerer.cancels.get() == request.request_id


async def test_a_client_may_ask_that_its_request_goes_on_without_it(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES, headers={"Tokenbus-On-Disconnect": "continue"})
        request = await taken(answerer)
    lines = whole(request, PIECES)
    await answerer.publish(request, lines)
    async with connected(gateway.port) as wire:
        await wire.get(f"/v1/responses/resp_{request.request_id}")
        status, _, body = await wire.reply()
    assert (status, body["status"]) == (200, "completed")
    assert answerer.cancels.empty()


async def test_a_client_that_comes_back_continues_from_its_cursor(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES, headers={"Tokenbus-On-Disconnect": "continue"})
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines[:6])
        await wire.head()
        seen = events_in(await wire.chunk())
    cursor = seen[-1]["sequence_number"]
    async with connected(gateway.port) as wire:
        await wire.get(f"/v1/responses/resp_{request.request_id}?stream=true&starting_after={cursor}")
        await eventually(lambda: bool(answerer.replays))
        await answerer.publish(request, lines[6:])
        await wire.head()
        seen += events_in(b"".join(await wire.chunks()))
    assert seen == [line.data for line in lines]


async def test_a_failed_answer_is_replayed_with_the_same_numbers(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = await taken(answerer)
        await answerer.publish(request, failed_after(request, PIECES, CUT))
        await wire.head()
        seen = events_in(b"".join(await wire.chunks()))
    for after in range(-1, len(seen)):
        async with connected(gateway.port) as wire:
            query = f"stream=true&starting_after={after}" if after >= 0 else "stream=true"
            await wire.get(f"/v1/responses/resp_{request.request_id}?{query}")
            status, _ = await wire.head()
            assert status == 200
            assert events_in(b"".join(await wire.chunks())) == [*seen[after + 1 : -1], seen[-1]]


async def test_a_gateway_that_stops_lets_answers_end_cuts_the_rest_and_cancels_nothing(
    nats_url: str, root: str, answerer: Answerer
) -> None:
    async with Bus.connect(nats_url, name="gateway") as bus, AsyncExitStack() as wires:
        async with gateway_before(bus, root=root, around=Surroundings(drain_s=1.0)) as gateway:
            quick, long = [await wires.enter_async_context(connected(gateway.port)) for _ in range(2)]
            requests: list[RequestHeaders] = []
            for wire in (quick, long):
                await wire.post("/v1/responses", RESPONSES)
                requests.append(await taken(answerer))
                await answerer.publish(requests[-1], whole(requests[-1], PIECES)[:6])
                await wire.head()
                await wire.chunk()
            await answerer.publish(requests[0], whole(requests[0], PIECES)[6:])
        assert b"[DONE]" in b"".join(await quick.chunks())
        with pytest.raises(asyncio.IncompleteReadError):
            await long.chunk()
        assert answerer.cancels.empty()
        async with gateway_before(bus, root=root, around=Surroundings()) as other:
            resumed = await wires.enter_async_context(connected(other.port))
            await resumed.get(f"/v1/responses/resp_{requests[1].request_id}?stream=true&starting_after=5")
            await answerer.publish(requests[1], whole(requests[1], PIECES)[6:])
            await resumed.head()
            events = events_in(b"".join(await resumed.chunks()))
    assert [event["sequence_number"] for event in events] == list(range(6, 11))


async def test_a_stream_outlives_a_restart_of_the_bus(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    async with (
        Bus.connect(server.url, name="answerer") as behind,
        answering(behind, root="restart") as answerer,
        Bus.connect(server.url, name="gateway") as bus,
        gateway_before(bus, root="restart", around=Surroundings()) as gateway,
        connected(gateway.port) as wire,
    ):
        await wire.post("/v1/chat/completions", CHAT)
        request = await taken(answerer)
        lines = whole(request, PIECES)
        await answerer.publish(request, lines[:5])
        await wire.head()
        seen = await wire.chunk()
        server.kill()
        answerer.store(request, lines[5:6])
        server.start()
        await eventually(lambda: behind.reconnects > 0 and bus.reconnects > 0, timeout_s=10)
        await answerer.publish(request, lines[6:])
        seen += b"".join(await wire.chunks())
    told = [event["choices"][0]["delta"].get("content") for event in events_in(seen)]
    assert "".join(filter(None, told)) == "".join(PIECES)
    assert seen.endswith(b"data: [DONE]\n\n")


class TestSlowClients:
    """A client that does not read. What passes by holds more than the sockets of both sides together."""

    @pytest.fixture
    def around(self) -> Surroundings:
        return Surroundings(buffer_bytes=64 * 1024, times=Times(write_s=1.0))

    async def test_one_is_given_up_and_its_request_cancelled(
        self, gateway: ScriptedGateway, answerer: Answerer
    ) -> None:
        async with connected(gateway.port) as wire:
            await wire.post("/v1/responses", RESPONSES)
            request = await taken(answerer)
            answerer.page_events = 10
            for line in padded(request)[:-1]:
                await answerer.publish(request, [line])
            async with asyncio.timeout(5):
                assert await answerer.cancels.get() == request.request_id

    async def test_one_that_reads_in_time_has_everything(self, gateway: ScriptedGateway, answerer: Answerer) -> None:
        async with connected(gateway.port) as wire:
            await wire.post("/v1/responses", RESPONSES)
            request = await taken(answerer)
            answerer.page_events = 10
            lines = padded(request)
            for line in lines:
                await answerer.publish(request, [line])
            await wire.head()
            events = events_in(b"".join(await wire.chunks()))
        assert answerer.replays, "it kept up"
        assert events == [line.data for line in lines]


def padded(request: RequestHeaders) -> list[EventLine]:
    answer = assembly(request)
    padding = [Event("tokenbus:test.padding", b',"padding":"%b"' % (b"x" * 50_000)) for _ in range(400)]
    events = text_events(answer, PIECES) + padding + answer.finish(Ending("completed"), now=1_790_000_001)
    return numbered(events)
