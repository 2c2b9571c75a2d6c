"""Plain publish, request and subscribe on a real server, and what happens when the server goes away."""

import asyncio
from contextlib import suppress

import pytest

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, Message
from tokenbus.errors import (
    BusClosedError,
    BusOverflowError,
    BusTimeoutError,
    NoRespondersError,
    PayloadTooLargeError,
)

QUICK = BusOptions(reconnect_wait_s=0.01, reconnect_wait_max_s=0.1, flush_timeout_s=0.5, drain_timeout_s=1.0)


async def flood(bus: Bus, *, size: int) -> None:
    """Publishes until the bus refuses."""
    while True:
        await bus.publish("x", b"x" * size)


async def test_a_subscriber_gets_subject_data_headers_and_reply(bus: Bus, root: str) -> None:
    got: list[Message] = []
    await bus.subscribe(f"{root}.*", got.append)
    await bus.publish(f"{root}.x", b"hello", headers={"A": "b"}, reply=f"{root}.answers")
    await eventually(lambda: len(got) == 1)
    assert got == [Message(f"{root}.x", b"hello", {"A": "b"}, f"{root}.answers")]


async def test_a_message_without_headers_has_an_empty_mapping(bus: Bus, root: str) -> None:
    got: list[Message] = []
    await bus.subscribe(root, got.append)
    await bus.publish(root, b"")
    await eventually(lambda: len(got) == 1)
    assert got == [Message(root, b"", {}, "")]


async def test_a_failing_callback_does_not_stop_the_next_message(bus: Bus, root: str) -> None:
    got: list[bytes] = []

    def callback(message: Message) -> None:
        got.append(message.data)
        if message.data == b"bad":
            raise ValueError("secret text")

    await bus.subscribe(root, callback)
    await bus.publish(root, b"bad")
    await bus.publish(root, b"good")
    await eventually(lambda: got == [b"bad", b"good"])


async def test_the_callbacks_of_one_subscription_run_one_after_another(bus: Bus, root: str) -> None:
    running = 0
    seen: list[int] = []

    async def callback(message: Message) -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        seen.append(running)
        running -= 1

    await bus.subscribe(root, callback)
    for _ in range(10):
        await bus.publish(root, b"")
    await eventually(lambda: len(seen) == 10)
    assert set(seen) == {1}


async def test_a_queue_shares_messages(bus: Bus, root: str) -> None:
    got: list[Message] = []
    for _ in range(3):
        await bus.subscribe(root, got.append, queue="q")
    for _ in range(9):
        await bus.publish(root, b"")
    await bus.flush()
    await eventually(lambda: len(got) >= 9)
    assert len(got) == 9


async def test_a_request_gets_its_answer(bus: Bus, root: str) -> None:
    async def answer(message: Message) -> None:
        await bus.publish(message.reply, message.data.upper(), headers={"Seen": message.headers["Sent"]})

    await bus.subscribe(root, answer)
    reply = await bus.request(root, b"ping", headers={"Sent": "yes"}, timeout_s=2.0)
    assert (reply.data, reply.headers) == (b"PING", {"Seen": "yes"})


async def test_a_request_that_nobody_serves_fails_at_once(bus: Bus, root: str) -> None:
    with pytest.raises(NoRespondersError) as caught:
        await bus.request(f"{root}.nobody", b"", timeout_s=30.0)
    assert caught.value.subject == f"{root}.nobody"


async def test_a_request_that_is_not_answered_times_out(bus: Bus, root: str) -> None:
    await bus.subscribe(root, lambda _: None)
    with pytest.raises(BusTimeoutError, match="outcome is unknown") as caught:
        await bus.request(root, b"", timeout_s=0.02)
    assert caught.value.timeout_s == 0.02


async def test_an_unsubscribed_callback_is_not_called_again(bus: Bus, root: str) -> None:
    got: list[Message] = []
    subscription = await bus.subscribe(root, got.append)
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    await bus.publish(root, b"")
    await bus.flush()
    assert got == []


async def test_draining_handles_what_was_received(bus: Bus, root: str) -> None:
    handled: list[bytes] = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.001)
        handled.append(message.data)

    subscription = await bus.subscribe(root, slowly)
    for number in range(20):
        await bus.publish(root, b"%d" % number)
    await subscription.drain()
    assert len(handled) == 20
    await subscription.drain()


async def test_leaving_the_bus_handles_what_was_received(nats_url: str, root: str) -> None:
    handled: list[bytes] = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.001)
        handled.append(message.data)

    async with Bus.connect(nats_url, name="test") as bus:
        await bus.subscribe(root, slowly)
        for number in range(20):
            await bus.publish(root, b"%d" % number)
    assert len(handled) == 20


async def test_leaving_the_bus_sends_what_was_published(bus: Bus, nats_url: str, root: str) -> None:
    got: list[Message] = []
    await bus.subscribe(root, got.append)
    await bus.flush()
    async with Bus.connect(nats_url, name="test") as other:
        for _ in range(1000):
            await other.publish(root, b"x" * 1000)
    await eventually(lambda: len(got) == 1000)


async def test_a_closed_bus_says_so(nats_url: str, root: str) -> None:
    async with Bus.connect(nats_url, name="test") as bus:
        subscription = await bus.subscribe(root, lambda _: None)
    with pytest.raises(BusClosedError):
        await bus.publish(root, b"")
    with pytest.raises(BusClosedError):
        await bus.subscribe(root, lambda _: None)
    await subscription.unsubscribe()
    await subscription.drain()


async def test_a_payload_over_the_limit_is_refused_and_the_connection_lives(bus: Bus, root: str) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        await bus.publish(root, b"x" * (bus.max_payload + 1))
    assert (caught.value.size, caught.value.max_payload) == (bus.max_payload + 1, 1024 * 1024)
    await bus.flush()
    assert (bus.connected, bus.reconnects) == (True, 0)


async def test_headers_count_toward_the_limit_to_the_byte(bus: Bus, root: str) -> None:
    headers = {"Name": "wert\u00e9", "X-Other": "1"}
    block = b"NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    fits = bus.max_payload - len(block)
    with pytest.raises(PayloadTooLargeError):
        await bus.publish(root, b"x" * (fits + 1), headers=headers)
    with pytest.raises(PayloadTooLargeError):
        await bus.request(root, b"x" * (fits + 1), headers=headers, timeout_s=1.0)
    got: list[Message] = []
    await bus.subscribe(root, got.append)
    await bus.publish(root, b"x" * fits, headers=headers)
    await eventually(lambda: len(got) == 1)
    assert bus.reconnects == 0


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0"])
async def test_an_impossible_subject_is_named(bus: Bus, subject: str) -> None:
    with pytest.raises(ValueError, match="is no NATS subject"):
        await bus.publish(subject, b"")
    with pytest.raises(ValueError, match="is no NATS subject"):
        await bus.subscribe(subject, lambda _: None)


async def test_an_impossible_header_name_is_named(bus: Bus, root: str) -> None:
    with pytest.raises(ValueError, match="header name 'a:b'"):
        await bus.publish(root, b"", headers={"a:b": "c"})


async def test_a_killed_server_that_comes_back_is_found_again(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    called: list[int] = []
    got: list[Message] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:

        async def on_reconnect() -> None:
            called.append(bus.reconnects)

        async def forgotten() -> None:
            called.append(-1)

        async def failing() -> None:
            raise ValueError

        bus.on_reconnect(failing)
        bus.on_reconnect(on_reconnect)
        bus.on_reconnect(forgotten)()
        await bus.subscribe("x", got.append)
        for times in (1, 2):
            server.kill()
            await eventually(lambda: not bus.connected)
            server.start()
            await eventually(lambda: len(called) == times)  # noqa: B023 - awaited inside the loop
            await bus.publish("x", b"")
            await eventually(lambda: len(got) == times)  # noqa: B023
    assert called == [1, 2]


async def test_a_reconnect_callback_is_cancelled_when_the_connection_is_lost_again(
    start_nats_server: StartNatsServer,
) -> None:
    server = start_nats_server()
    events: list[str] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:

        async def forever() -> None:
            events.append("began")
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                events.append("cancelled")
                raise

        bus.on_reconnect(forever)
        for times in (1, 2):
            server.kill()
            await eventually(lambda: not bus.connected)
            server.start()
            await eventually(lambda: events.count("began") == times)  # noqa: B023
    assert events == ["began", "cancelled", "began", "cancelled"]


async def test_a_subscription_whose_drain_was_cut_short_does_not_come_back(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    got: list[bytes] = []

    async def stuck(message: Message) -> None:
        got.append(message.data)
        await asyncio.get_running_loop().create_future()

    async with Bus.connect(server.url, name="test", options=QUICK) as bus:
        subscription = await bus.subscribe("x", stuck)
        await bus.publish("x", b"before")
        await eventually(lambda: got == [b"before"])
        await subscription.drain(timeout_s=0.01)
        server.kill()
        await eventually(lambda: not bus.connected)
        server.start()
        await eventually(lambda: bus.reconnects == 1)
        with pytest.raises(NoRespondersError):
            await bus.request("x", b"after", timeout_s=1.0)


async def test_what_is_published_while_disconnected_is_sent_in_order_afterwards(
    start_nats_server: StartNatsServer,
) -> None:
    server = start_nats_server()
    got: list[bytes] = []
    async with Bus.connect(server.url, name="test", options=QUICK) as bus:
        await bus.subscribe("x", lambda message: got.append(message.data))
        server.kill()
        await eventually(lambda: not bus.connected)
        for number in range(100):
            await bus.publish("x", b"%d" % number)
        server.start()
        await eventually(lambda: len(got) == 100)
    assert got == [b"%d" % number for number in range(100)]


async def test_a_full_buffer_refuses_while_disconnected(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    options = BusOptions(buffer_bytes=100_000, reconnect_wait_s=0.01)
    async with Bus.connect(server.url, name="test", options=options) as bus:
        server.kill()
        await eventually(lambda: not bus.connected)
        with pytest.raises(BusOverflowError) as caught:
            await flood(bus, size=10_000)
    assert 80_000 < caught.value.waiting_bytes <= 100_000


async def test_a_frozen_server_makes_publish_fail_in_time_instead_of_blocking(
    start_nats_server: StartNatsServer,
) -> None:
    server = start_nats_server()
    options = BusOptions(flush_timeout_s=0.2, high_water_bytes=200_000)
    async with Bus.connect(server.url, name="test", options=options) as bus:
        server.freeze()
        with pytest.raises(BusOverflowError):
            await flood(bus, size=100_000)
        with pytest.raises(BusTimeoutError):
            await bus.flush()
        server.thaw()
        await bus.flush(timeout_s=5.0)
        assert bus.reconnects == 0


async def test_a_publish_that_waits_for_the_server_can_be_cancelled(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    async with Bus.connect(server.url, name="test", options=BusOptions(high_water_bytes=200_000)) as bus:
        server.freeze()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await flood(bus, size=100_000)
        server.thaw()
        await bus.flush(timeout_s=5.0)
        assert bus.connected


async def test_leaving_the_bus_does_not_wait_for_a_frozen_server(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    options = BusOptions(flush_timeout_s=0.2, drain_timeout_s=0.2, high_water_bytes=8_000_000)
    async with asyncio.timeout(5.0), Bus.connect(server.url, name="test", options=options) as bus:
        await bus.subscribe("x", lambda _: None)
        server.freeze()
        for _ in range(60):
            await bus.publish("x", b"x" * 100_000)
        await asyncio.sleep(0)


async def test_a_silent_server_is_given_up_after_two_pings(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    async with Bus.connect(server.url, name="test", options=BusOptions(ping_interval_s=0.05)) as bus:
        server.freeze()
        await eventually(lambda: not bus.connected)
        server.thaw()
        await eventually(lambda: bus.reconnects == 1)


async def test_a_subscription_that_does_not_keep_up_drops_and_counts(nats_url: str, root: str) -> None:
    release = asyncio.Event()

    async def stuck(_: Message) -> None:
        await release.wait()

    options = BusOptions(pending_messages=10)
    async with Bus.connect(nats_url, name="test", options=options) as bus:
        await bus.subscribe(root, stuck)
        for _ in range(50):
            await bus.publish(root, b"")
        await bus.flush()
        assert 38 <= bus.dropped_messages <= 40
        release.set()


async def test_flush_means_that_the_server_has_everything(bus: Bus, nats_url: str, root: str) -> None:
    got = 0

    def count(_: Message) -> None:
        nonlocal got
        got += 1

    async with Bus.connect(nats_url, name="test") as other:
        subscription = await other.subscribe(root, count)
        await other.flush()
        for times in range(1, 51):
            for _ in range(50):
                await bus.publish(root, b"y" * 2000)
            await bus.flush()
            await other.flush()
            await eventually(lambda: got == 50 * times, timeout_s=0.5)  # noqa: B023
        await subscription.unsubscribe()


async def test_a_cancelled_flush_leaves_the_connection_alive(bus: Bus) -> None:
    for _ in range(3):
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await bus.flush()
        await bus.flush()
    assert bus.error_counts == {}
