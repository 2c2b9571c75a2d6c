"""The WebSocket face: turns, their order, what goes wrong with one, and how the connection ends."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.client.answerer import Answerer
from tests.gateway.answers import failed_after, failed_at_once, whole
from tests.gateway.conftest import ScriptedGateway, Surroundings, gateway_before
from tokenbus.bus import Bus
from tokenbus_gateway.access.access_file import AccessFile
from tokenbus_gateway.access.api_keys import mint_key
from tokenbus_gateway.endpoint import Times
from tokenbus_gateway.websocket import MAX_WAITING
from tokenbus_schemas import ErrorBody, ErrorCode, RequestHeaders

Json = dict[str, Any]
MODEL = "openai/gpt-4.1-mini"
CREATE: Json = {"type": "response.create", "model": MODEL, "input": "Hi"}
KEY = mint_key()


@asynccontextmanager
async def socket_to(
    gateway: ScriptedGateway, path: str = "/v1/responses", **headers: str
) -> AsyncGenerator[ClientConnection]:
    url = f"ws://{gateway.host}:{gateway.port}{path}"
    async with connect(url, additional_headers=headers, max_size=None, compression=None) as socket:
        yield socket


async def say(socket: ClientConnection, message: object) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> Json:
    async with asyncio.timeout(5):
        text = await socket.recv()
    assert isinstance(text, str)
    return json.loads(text)


async def hear_all(socket: ClientConnection) -> list[Json]:
    """Up to the end of the answer, or an error."""
    events = [await hear(socket)]
    while events[-1]["type"] not in ("response.completed", "response.failed", "error") or (
        events[-1]["type"] == "error" and "sequence_number" in events[-1]
    ):
        events.append(await hear(socket))
    return events


async def taken(answerer: Answerer) -> RequestHeaders:
    return (await answerer.requests.get()).headers


@pytest.mark.parametrize("path", ["/v1/responses", "/v1", "/v1/responses?model=ignored", "/v1?model=ignored"])
async def test_an_answer_comes_as_its_events(gateway: ScriptedGateway, answerer: Answerer, path: str) -> None:
    async with socket_to(gateway, path) as socket:
        await say(socket, CREATE)
        request = await answerer.requests.get()
        lines = whole(request.headers, ["Hi", " there"])
        for line in lines:
            await answerer.publish(request.headers, [line])
        assert await hear_all(socket) == [line.data for line in lines]
    assert request.body == {"model": MODEL, "input": "Hi"}


async def test_the_model_may_stand_in_the_address(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway, f"/v1?model={MODEL}") as socket:
        await say(socket, {"type": "response.create", "input": "Hi"})
        assert (await answerer.requests.get()).body["model"] == MODEL


async def test_answers_come_one_after_the_other(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        for number in range(3):
            await say(socket, {**CREATE, "input": str(number)})
        for number in range(3):
            request = await answerer.requests.get()
            assert request.body["input"] == str(number)
            assert answerer.requests.empty()
            await answerer.publish(request.headers, whole(request.headers, ["Hi"]))
            assert (await hear_all(socket))[0]["response"]["id"] == f"resp_{request.headers.request_id}"


async def test_too_many_waiting_messages_are_refused(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        await taken(answerer)
        for _ in range(MAX_WAITING + 1):
            await say(socket, CREATE)
        error = await hear(socket)
    assert (error["type"], error["status"], error["error"]["code"]) == ("error", 429, "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ({"type": "response.cancel"}, "invalid_value", "type"),
        ({**CREATE, "background": True}, "unsupported_parameter", "background"),
        ({"type": "response.create", "input": "Hi"}, "missing_required_parameter", "model"),
        ({**CREATE, "messages": []}, "unknown_parameter", "messages"),
    ],
)
async def test_a_wrong_message_is_an_error_and_the_connection_lives_on(
    gateway: ScriptedGateway, answerer: Answerer, message: object, code: str, param: str | None
) -> None:
    async with socket_to(gateway) as socket:
        await socket.send(message if isinstance(message, str) else json.dumps(message))
        error = await hear(socket)
        assert (error["type"], error["status"]) == ("error", 400)
        assert (error["error"]["code"], error["error"]["param"]) == (code, param)
        await say(socket, CREATE)
        await taken(answerer)


async def test_an_answer_that_fails_at_once_is_an_error_with_its_status(
    gateway: ScriptedGateway, answerer: Answerer
) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        request = await taken(answerer)
        await answerer.publish(request, failed_at_once(request, ErrorBody(ErrorCode.MODEL_NOT_FOUND, "no", "model")))
        error = await hear(socket)
    assert error == {
        "type": "error",
        "status": 404,
        "error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": "model_not_found"},
    }


async def test_an_answer_that_breaks_ends_in_error_and_failed(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        request = await taken(answerer)
        cut = ErrorBody(ErrorCode.UPSTREAM_CUT, "cut")
        await answerer.publish(request, failed_after(request, ["Hi"], cut))
        events = await hear_all(socket)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_lost_messages_are_healed(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        request = await taken(answerer)
        lines = whole(request, ["a", "b", "c"])
        await answerer.publish(request, lines[:5])
        answerer.store(request, lines[5:7])
        await answerer.publish(request, lines[7:])
        assert await hear_all(socket) == [line.data for line in lines]


async def test_a_conversation_continues_without_a_store(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, {**CREATE, "store": False})
        request = await taken(answerer)
        await answerer.publish(request, whole(request, ["Hello."], store=False))
        first = (await hear_all(socket))[-1]["response"]
        tail = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "And?"}]
        await say(socket, {**CREATE, "input": tail, "previous_response_id": first["id"], "store": False})
        second = await answerer.requests.get()
        await answerer.publish(second.headers, whole(second.headers, ["Well."]))
        events = await hear_all(socket)
    said: list[Json] = second.body["input"]
    assert [
        (item["role"], item["content"] if isinstance(item["content"], str) else item["content"][0]["text"])
        for item in said
    ] == [
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "And?"),
    ]
    assert "previous_response_id" not in second.body
    assert (
        events[0]["response"]["previous_response_id"] == events[-1]["response"]["previous_response_id"] == first["id"]
    )


async def test_a_stored_conversation_continues_on_the_bus(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        request = await taken(answerer)
        await answerer.publish(request, whole(request, ["Hello."]))
        first = (await hear_all(socket))[-1]["response"]
        await say(socket, {**CREATE, "input": "And?", "previous_response_id": first["id"]})
        second = await answerer.requests.get()
    assert second.body == {"model": MODEL, "input": "And?", "previous_response_id": first["id"]}


async def test_an_unknown_previous_response_is_left_to_the_bus(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, {**CREATE, "previous_response_id": "resp_elsewhere"})
        request = await answerer.requests.get()
        assert request.body["previous_response_id"] == "resp_elsewhere"
        error = ErrorBody(ErrorCode.PREVIOUS_RESPONSE_NOT_FOUND, "no such response", "previous_response_id")
        await answerer.publish(request.headers, failed_at_once(request.headers, error))
        assert (await hear(socket))["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("published", [0, 6])
async def test_a_client_that_goes_away_cancels_its_answer(
    gateway: ScriptedGateway, answerer: Answerer, published: int
) -> None:
    async with socket_to(gateway) as socket:
        await say(socket, CREATE)
        request = await taken(answerer)
        if published:
            await answerer.publish(request, whole(request, ["Hi", "there"])[:published])
            await hear(socket)
        socket.transport.abort()
        async with asyncio.timeout(1):
            assert await answerer.cancels.get() == request.request_id


async def test_a_gateway_that_stops_lets_the_turn_end(
    nats_url: str, root: str, answerer: Answerer, around: Surroundings
) -> None:
    async with Bus.connect(nats_url, name="gateway") as bus, asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()
        ready: asyncio.Future[ScriptedGateway] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            async with gateway_before(bus, root=root, around=around) as gateway:
                ready.set_result(gateway)
                await stop.wait()

        running = tasks.create_task(run())
        async with socket_to(await ready) as socket:
            await say(socket, CREATE)
            request = await taken(answerer)
            lines = whole(request, ["Hi", "there"])
            await answerer.publish(request, lines[:6])
            await hear(socket)
            stop.set()
            await refuses_connections(await ready)
            await answerer.publish(request, lines[6:])
            events = await hear_all(socket)
            assert events[-1]["type"] == "response.completed"
            with pytest.raises(ConnectionClosed) as closed:
                await hear(socket)
        await running
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert answerer.cancels.empty()


class TestOld:
    """A connection at the end of its hour."""

    @pytest.fixture
    def around(self) -> Surroundings:
        return Surroundings(times=Times(websocket_s=0.3))

    async def test_the_answer_at_hand_is_finished_and_then_the_limit_told(
        self, gateway: ScriptedGateway, answerer: Answerer
    ) -> None:
        async with socket_to(gateway) as socket:
            await say(socket, CREATE)
            request = await taken(answerer)
            lines = whole(request, ["Hi"])
            await answerer.publish(request, lines[:6])
            for line in lines[:6]:
                assert await hear(socket) == line.data
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await socket.recv()
            await answerer.publish(request, lines[6:])
            assert (await hear_all(socket))[-1]["type"] == "response.completed"
            error = await hear(socket)
            assert error["error"]["code"] == "websocket_connection_limit_reached"
            with pytest.raises(ConnectionClosed):
                await hear(socket)


async def refuses_connections(gateway: ScriptedGateway) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection(gateway.host, gateway.port)
            except ConnectionError:
                return
            writer.close()


class TestWithKeys:
    """The handshake is authenticated as any request."""

    @pytest.fixture
    def around(self) -> Surroundings:
        rows = [{"id": KEY.key_id, "hash": KEY.hash, "models": ["openai/*"]}]
        return Surroundings(access=AccessFile.model_validate({"keys": rows}))

    async def test_without_a_key_it_is_refused(self, gateway: ScriptedGateway) -> None:
        for headers in ({}, {"Authorization": "Bearer sk-wrong"}):
            with pytest.raises(InvalidStatus) as caught:
                async with socket_to(gateway, **headers):
                    pass
            assert caught.value.response.status_code == 401
            assert caught.value.response.body is not None
            assert json.loads(caught.value.response.body)["error"]["type"] == "invalid_request_error"

    async def test_with_one_it_may_use_what_the_key_may(self, gateway: ScriptedGateway, answerer: Answerer) -> None:
        async with socket_to(gateway, Authorization=f"Bearer {KEY.text}") as socket:
            await say(socket, {**CREATE, "model": "azure/x"})
            assert (await hear(socket))["error"]["code"] == "model_not_found"
            await say(socket, CREATE)
            await taken(answerer)


async def test_without_keys_a_page_of_another_host_may_not_connect(gateway: ScriptedGateway) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with socket_to(gateway, Origin="https://evil.example"):
            pass
    assert caught.value.response.status_code == 403
    async with socket_to(gateway, Origin="http://localhost:3000"):
        pass
