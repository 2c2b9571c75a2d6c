"""A client that lost its connection has the time it asked for to come back, to any replica."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from websockets.asyncio.client import connect

from tests.client.answerer import Answerer
from tests.conftest import eventually
from tests.gateway.answers import whole
from tests.gateway.conftest import ScriptedGateway, Surroundings, gateway_before
from tests.gateway.http_wire import connected, events_in
from tokenbus.bus import Bus, Message
from tokenbus_schemas import RequestHeaders

REQUEST = {"model": "openai/gpt-4.1-mini", "input": "Hi", "stream": True}
SOON = {"Tokenbus-On-Disconnect": "grace:0.3"}
PIECES = ["The ", "quick ", "fox"]
LOOKS = 10


@pytest.fixture
async def replica(nats_url: str, root: str, around: Surroundings) -> AsyncGenerator[ScriptedGateway]:
    """A second gateway, which shares nothing with the first but the bus."""
    async with Bus.connect(nats_url, name="replica") as bus, gateway_before(bus, root=root, around=around) as other:
        yield other


async def left(gateway: ScriptedGateway, answerer: Answerer, *, published: int = 6) -> RequestHeaders:
    """A request whose client hung up in the middle of its answer."""
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", REQUEST, headers=SOON)
        request = (await answerer.requests.get()).headers
        if published:
            await answerer.publish(request, whole(request, PIECES)[:published])
            await wire.head()
    return request


async def next_cancel(answerer: Answerer) -> str:
    async with asyncio.timeout(10):
        return await answerer.cancels.get()


@pytest.mark.parametrize("published", [0, 6])
async def test_who_does_not_come_back_cancels_its_request(
    gateway: ScriptedGateway, answerer: Answerer, published: int
) -> None:
    began = asyncio.get_running_loop().time()
    request = await left(gateway, answerer, published=published)
    assert await next_cancel(answerer) == request.request_id
    assert asyncio.get_running_loop().time() - began >= 0.3


async def test_who_watches_again_at_another_replica_keeps_it_running_until_it_leaves_too(
    gateway: ScriptedGateway, replica: ScriptedGateway, answerer: Answerer, bus: Bus
) -> None:
    request = await left(gateway, answerer)
    looks: list[str] = []

    def look(message: Message) -> None:
        looks.append(message.subject)

    async with connected(replica.port) as wire:
        await wire.get(f"/v1/responses/resp_{request.request_id}?stream=true&starting_after=3")
        await wire.head()
        assert events_in(await wire.chunk())[0]["sequence_number"] == 4
        observer = await bus.subscribe(f"{answerer.subjects.root}.watching.>", look)
        await eventually(lambda: len(looks) > 2 * LOOKS, timeout_s=20)
        await observer.unsubscribe()
        await bus.flush()
        assert answerer.cancels.empty()
    assert await next_cancel(answerer) == request.request_id


async def test_a_websocket_client_has_it_too(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connect(f"ws://127.0.0.1:{gateway.port}/v1/responses", additional_headers=SOON) as socket:
        await socket.send('{"type":"response.create","model":"openai/gpt-4.1-mini","input":"Hi"}')
        request = (await answerer.requests.get()).headers
    assert await next_cancel(answerer) == request.request_id


async def test_a_gateway_that_stops_in_the_meantime_cancels_nothing(
    nats_url: str, root: str, answerer: Answerer, bus: Bus
) -> None:
    async with Bus.connect(nats_url, name="stopping") as own:
        async with gateway_before(own, root=root, around=Surroundings()) as stopping:
            await left(stopping, answerer)
        await own.flush()
    await bus.flush()
    assert answerer.cancels.empty()
