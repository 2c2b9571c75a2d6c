"""Messages that are handed on where they are read, and written without a task of their own."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, Message

QUICK = BusOptions(reconnect_wait_s=0.01, reconnect_wait_max_s=0.1)


async def test_an_inline_subscriber_gets_subject_data_headers_and_reply(bus: Bus, root: str) -> None:
    got: list[Message] = []
    await bus.subscribe_inline(f"{root}.*", got.append)
    await bus.publish(f"{root}.x", b"hello", headers={"A": "b"}, reply=f"{root}.answers")
    await bus.publish(f"{root}.y", b"")
    await eventually(lambda: len(got) == 2)
    assert got == [
        Message(f"{root}.x", b"hello", {"A": "b"}, f"{root}.answers"),
        Message(f"{root}.y", b"", {}, ""),
    ]


async def test_a_failing_inline_callback_does_not_stop_the_next_message(bus: Bus, root: str) -> None:
    got: list[bytes] = []

    def callback(message: Message) -> None:
        got.append(message.data)
        if message.data == b"bad":
            raise ValueError("secret text")

    await bus.subscribe_inline(root, callback)
    await bus.publish(root, b"bad")
    await bus.publish(root, b"good")
    await eventually(lambda: got == [b"bad", b"good"])


async def test_an_inline_callback_comes_no_more_after_unsubscribe(bus: Bus, root: str) -> None:
    got: list[bytes] = []
    subscription = await bus.subscribe_inline(root, lambda message: got.append(message.data))
    await bus.publish(root, b"first")
    await bus.flush()
    await subscription.unsubscribe()
    await bus.publish(root, b"second")
    await bus.flush()
    assert got == [b"first"]


async def test_draining_an_inline_subscription_returns_when_all_before_it_was_handed_on(bus: Bus, root: str) -> None:
    got: list[bytes] = []
    subscription = await bus.subscribe_inline(root, lambda message: got.append(message.data))
    for number in range(100):
        await bus.publish(root, b"%d" % number)
    await subscription.drain()
    assert got == [b"%d" % number for number in range(100)]


async def test_an_inline_subscription_is_renewed_after_a_reconnect(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    got: list[bytes] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:
        await bus.subscribe_inline("x", lambda message: got.append(message.data))
        await bus.flush()
        server.kill()
        server.start()
        await eventually(lambda: bus.reconnects == 1)
        await bus.publish("x", b"after")
        await eventually(lambda: got == [b"after"])


async def test_a_lingering_message_goes_out_without_another_one(bus: Bus, root: str) -> None:
    got: list[bytes] = []
    await bus.subscribe(root, lambda message: got.append(message.data))
    await bus.publish(root, b"lingers", linger=True)
    await eventually(lambda: got == [b"lingers"])


async def test_a_lingering_message_keeps_its_place_before_a_later_one(bus: Bus, root: str) -> None:
    got: list[bytes] = []
    await bus.subscribe(root, lambda message: got.append(message.data))
    await bus.publish(root, b"first", linger=True)
    await bus.publish(root, b"second")
    await bus.flush()
    await eventually(lambda: got == [b"first", b"second"])


async def test_a_lingering_message_is_sent_before_the_bus_closes(nats_url: str, bus: Bus, root: str) -> None:
    got: list[bytes] = []
    await bus.subscribe(root, lambda message: got.append(message.data))
    await bus.flush()
    async with Bus.connect(nats_url, name="test") as leaving:
        await leaving.publish(root, b"last words", linger=True)
    await eventually(lambda: got == [b"last words"])


async def test_a_lingering_message_survives_a_lost_connection(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    got: list[bytes] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:
        await bus.subscribe("x", lambda message: got.append(message.data))
        await bus.flush()
        server.kill()
        await eventually(lambda: not bus.connected)
        await bus.publish("x", b"meanwhile", linger=True)
        server.start()
        await eventually(lambda: got == [b"meanwhile"])


@given(plan=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_messages_arrive_in_the_order_in_which_they_were_published(
    nats_url: str, plan: list[tuple[bool, bool]]
) -> None:
    """Whatever lingers, and whatever shares a turn of the event loop: (lingers, gives the turn away)."""

    async def run() -> list[bytes]:
        got: list[bytes] = []
        async with Bus.connect(nats_url, name="test") as bus:
            subject = bus.new_inbox()
            await bus.subscribe_inline(subject, lambda message: got.append(message.data))
            for number, (lingers, gives_way) in enumerate(plan):
                await bus.publish(subject, b"%d" % number, linger=lingers)
                if gives_way:
                    await asyncio.sleep(0)
            await bus.flush()
        return got

    assert asyncio.run(run()) == [b"%d" % number for number in range(len(plan))]
