"""A service says when JetStream is gone though the connection is up, and when it is back."""

import pytest

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus
from tokenbus_chassis.probe import probing


async def test_a_frozen_server_is_told_once_and_so_is_its_return(
    start_nats_server: StartNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_nats_server()
    async with Bus.connect(server.url, name="test") as bus, probing(bus, every_s=0.05):
        server.freeze()
        await eventually(lambda: "JetStream does not answer" in caplog.messages)
        server.thaw()
        await eventually(lambda: "JetStream answers again" in caplog.messages)
    assert caplog.messages.count("JetStream does not answer") == 1


async def test_a_bus_without_jetstream_is_no_reason_to_end(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config="jetstream: disabled")
    async with Bus.connect(server.url, name="test") as bus, probing(bus, every_s=0.01):
        await eventually(lambda: bus.connected)
        await bus.flush()
