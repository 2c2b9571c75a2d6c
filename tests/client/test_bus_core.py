
from tests.conftest import NatsServer, eventually
from tokenbus.bus import Bus, Message


async def test_a_published_message_reaches_its_subscriber(bus: Bus, root: str, nats_server: NatsServer) -> None:
    got: list[Message] = []
    await bus.subscribe(f"{root}.x", got.append)
    await bus.publish(f"{root}.x", b"hello", headers={"A": "b"})
    await eventually(lambda: len(got) == 1)
    assert got[0].data == b"hello"
