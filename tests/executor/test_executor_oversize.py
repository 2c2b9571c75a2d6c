"""What is too large for the bus: the echo goes first, then the output, and the answer says so."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.conftest import StartNatsServer
from tests.executor.conftest import POOL, Desk, StartExecutor, provider
from tokenbus.bus import Bus
from tokenbus_chassis.topology import topology
from tokenbus_schemas import EventLine, split_message
from tokenbus_simulator import Script, Simulator

SMALL = 32 * 1024
CONFIG = f"max_payload: {SMALL}\njetstream: {{max_file_store: 20GB}}\n"


@pytest.fixture
async def small_desk(
    start_nats_server: StartNatsServer, start_executor: StartExecutor, simulator: Simulator
) -> AsyncGenerator[Desk]:
    """A desk and an executor on a server that takes 32 KiB."""
    server = start_nats_server(config=CONFIG)
    async with Bus.connect(server.url, name="tests") as bus:
        desk = Desk(bus, stored=topology("small", pools=[POOL]))
        await desk.open()
        await desk.publish_providers(provider(simulator))
        async with start_executor(nats_url=server.url, root="small", ack_wait_s=15.0):
            yield desk


async def ended(desk: Desk, **changes: Any) -> list[EventLine]:
    request_id = await desk.send(desk.order(**changes))
    await desk.until(request_id, lambda lines: any(line.is_terminal for line in lines))
    assert max(len(message) for message in desk.messages[request_id]) <= SMALL
    return desk.live[request_id]


async def test_an_end_that_is_too_large_with_the_echo_is_told_without_it(
    small_desk: Desk, simulator: Simulator
) -> None:
    simulator.then(Script(text="word " * 3500))
    lines = await ended(small_desk, request={"input": "Hi.", "instructions": "a" * 20_000})

    response = lines[-1].data["response"]
    assert response["status"] == "completed"
    assert response["instructions"] is None
    assert response["tokenbus"]["left_out"] == ["instructions"]
    assert response["output"][0]["content"][0]["text"] == "word " * 3500
    assert lines[0].data["response"]["instructions"] == "a" * 20_000


async def test_an_output_that_is_too_large_ends_in_a_failure_that_keeps_the_usage(
    small_desk: Desk, simulator: Simulator
) -> None:
    simulator.then(Script(text="word " * 7000))
    lines = await ended(small_desk)

    response = lines[-1].data["response"]
    assert (lines[-1].type, response["status"]) == ("response.failed", "failed")
    assert response["error"]["type"] == "output_too_large"
    assert response["usage"]["output_tokens"] > 0
    deltas = [line.data["delta"] for line in lines if line.type == "response.output_text.delta"]
    assert "".join(deltas) == "word " * 7000
    assert len({line.sequence_number for line in lines}) == len(lines)


async def test_an_event_that_is_too_large_is_left_out_and_the_end_heals_it(
    small_desk: Desk, simulator: Simulator
) -> None:
    simulator.then(Script(text="word " * 5000, chunk_bytes=10**6))
    lines = await ended(small_desk)

    numbers = [line.sequence_number for line in lines]
    assert numbers == sorted(numbers)
    assert numbers[-1] >= len(numbers) - 1
    assert lines[-1].data["response"]["status"] == "completed"


async def test_a_large_burst_is_split_between_events(small_desk: Desk, simulator: Simulator) -> None:
    simulator.then(Script(tokens=800, chunk_bytes=10**6))
    lines = await ended(small_desk)
    whole = [
        line for message in small_desk.messages[lines[-1].data["response"]["id"][5:]] for line in split_message(message)
    ]

    assert [line.sequence_number for line in whole] == list(range(len(whole)))
