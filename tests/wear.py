"""Deliveries that end badly, as those of a worker that was killed: nobody says anything good about them."""

import asyncio

from tokenbus.bus import Bus, ConsumerSpec, Message


async def wear(bus: Bus, consumer: ConsumerSpec, *, times: int) -> None:
    """Take the consumer's next message so often, and give it back at once without a mark."""
    for _ in range(times):
        taken: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        inbox = bus.new_inbox()
        subscription = await bus.subscribe(inbox, taken.set_result)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        await bus.publish(subject, b'{"batch":1,"expires":5000000000}', reply=inbox)
        async with asyncio.timeout(10):
            message = await taken
        assert message.reply.startswith("$JS.ACK")
        await bus.publish(message.reply, b"-NAK")
        await subscription.unsubscribe()
        await bus.flush()
