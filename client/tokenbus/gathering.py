"""One question, answers from everybody: ask on a subject, and listen until nobody has answered for a while."""

import asyncio
from typing import Final

from tokenbus.bus import Bus, Message

_STATUS: Final = "Status"


async def gather(bus: Bus, subject: str, *, first_s: float = 0.5, quiet_s: float = 0.1) -> list[bytes]:
    """All answers: those that begin within `first_s`, until `quiet_s` passes without another one.

    Empty at once where nobody listens on `subject`. Raises what `Bus.publish` raises.
    """
    answers: list[bytes] = []
    news = asyncio.Event()
    nobody = False

    def take(message: Message) -> None:
        nonlocal nobody
        if _STATUS in message.headers:
            nobody = True
        else:
            answers.append(message.data)
        news.set()

    inbox = bus.new_inbox()
    subscription = await bus.subscribe(inbox, take)
    try:
        await bus.publish(subject, b"", reply=inbox)
        while not nobody:
            news.clear()
            async with asyncio.timeout(quiet_s if answers else first_s):
                await news.wait()
    except TimeoutError:
        pass
    finally:
        await subscription.unsubscribe()
    return answers
