"""The short way and the long one give the same stream, whatever is lost, late or refused."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answerer import delta, numbered
from tokenbus.sequencer import Sequencer
from tokenbus_gateway.feed import ClientGoneError, Feed
from tokenbus_schemas import Event, EventLine

SOON_S = 0.05


class Taker:
    """Writes down what it is given; may refuse more."""

    def __init__(self) -> None:
        self.lines: list[EventLine] = []
        self.keeps_up = True

    def __call__(self, lines: Sequence[EventLine]) -> bool:
        self.lines += lines
        return self.keeps_up


def messages(count: int) -> list[EventLine]:
    return numbered([delta(str(number)) for number in range(count)])


def feed() -> Feed:
    return Feed(buffer_bytes=10_000, silence_s=SOON_S)


async def has_mail(box: Feed) -> bool:
    return await box.wait(until=asyncio.get_running_loop().time() + 0.001)


async def test_events_take_the_short_way_while_it_is_open() -> None:
    box, taker, lines = feed(), Taker(), messages(3)
    box.open(Sequencer(), taker)
    for line in lines:
        box.put(line.raw)
    assert taker.lines == lines
    assert box.take().payloads == []


async def test_a_gap_closes_it_and_wakes_the_reader() -> None:
    box, taker, lines, sequencer = feed(), Taker(), messages(4), Sequencer()
    box.open(sequencer, taker)
    box.put(lines[0].raw)
    box.put(lines[2].raw)
    assert await has_mail(box)
    box.put(lines[3].raw)
    assert taker.lines == lines[:1]
    assert box.take().payloads == [lines[3].raw]
    assert sequencer.missing_after == 0


async def test_it_does_not_open_over_a_gap() -> None:
    box, taker, lines, sequencer = feed(), Taker(), messages(3), Sequencer()
    sequencer.feed(lines[1:2])
    box.open(sequencer, taker)
    box.put(lines[0].raw)
    assert (taker.lines, box.take().payloads) == ([], [lines[0].raw])


async def test_who_does_not_keep_up_gets_no_more_of_it() -> None:
    box, taker, lines = feed(), Taker(), messages(3)
    box.open(Sequencer(), taker)
    taker.keeps_up = False
    for line in lines:
        box.put(line.raw)
    assert taker.lines == lines[:1]
    assert box.take().payloads == [line.raw for line in lines[1:]]


async def test_the_end_wakes_the_reader() -> None:
    box, taker, sequencer = feed(), Taker(), Sequencer()
    box.open(sequencer, taker)
    lines = numbered([delta("x"), Event("response.completed", b',"response":{}')])
    box.put(lines[0].raw + b"\n" + lines[1].raw)
    assert taker.lines == lines
    assert await has_mail(box)
    assert sequencer.ended


async def test_no_silence_while_events_take_the_short_way() -> None:
    box, taker = feed(), Taker()
    box.open(Sequencer(), taker)
    lines = messages(100)

    async def talk() -> None:
        for line in lines:
            box.put(line.raw)
            await asyncio.sleep(SOON_S / 10)

    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        talking = tasks.create_task(talk())
        assert not await box.wait(until=loop.time() + SOON_S)
        assert talking.done()
    assert taker.lines == lines


async def test_a_client_that_is_gone_is_told_to_whoever_waits() -> None:
    box = feed()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(box.wait(until=asyncio.get_running_loop().time() + 5))
        await asyncio.sleep(0)
        box.client_gone()
        assert await waiting
    with pytest.raises(ClientGoneError):
        box.take()


@given(st.lists(st.integers(0, 11), max_size=40), st.sets(st.integers(0, 40)))
def test_any_order_of_messages_and_ways_gives_the_stream_in_order(order: list[int], reopened: set[int]) -> None:
    """What the reader does is played here: it feeds what the inbox has, then opens the short way again."""

    async def play() -> None:
        box, taker, sequencer, lines = Feed(buffer_bytes=10**6, silence_s=1), Taker(), Sequencer(), messages(12)
        box.open(sequencer, taker)
        for place, number in enumerate([*order, *range(12)]):
            box.put(lines[number].raw)
            if place in reopened or place >= len(order):
                mail = box.take()
                taker.lines += [line for raw in mail.payloads for line in sequencer.feed([EventLine(raw)])]
                taker.lines += sequencer.fill([], more=False)
                box.open(sequencer, taker)
        taker.lines += sequencer.fill(lines, more=False)
        assert taker.lines == lines

    asyncio.run(play())
