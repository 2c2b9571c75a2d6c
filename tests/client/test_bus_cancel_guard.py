"""No cancel is lost in the bus: Python 3.11's `asyncio.wait_for`, on which nats-py stands, drops some."""

import asyncio
from collections.abc import Coroutine
from typing import cast

import pytest

from tokenbus.bus import Bus, StreamSpec
from tokenbus.cancel_guard import cancel_guard
from tokenbus.errors import NoRespondersError


@pytest.mark.parametrize("outcome", ["an answer", ValueError()])
async def test_a_cancel_in_the_moment_of_the_answer_is_raised(outcome: str | ValueError) -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        with cancel_guard():
            await asyncio.wait_for(answer, timeout=5.0)  # noqa: TID251 - as nats-py does

    async with asyncio.TaskGroup() as group:
        task = group.create_task(waits())
        await asyncio.sleep(0)
        if isinstance(outcome, ValueError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
        task.cancel()
    assert task.cancelled()


async def test_an_error_without_a_cancel_passes() -> None:
    with pytest.raises(ValueError, match="its own"), cancel_guard():
        raise ValueError("its own")


async def test_a_task_that_was_cancelled_before_may_still_clean_up() -> None:
    cleaned: list[str] = []

    async def cleans_up() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            with cancel_guard():
                await asyncio.sleep(0)
            cleaned.append("up")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(cleans_up())
        await asyncio.sleep(0)
        task.cancel()
    assert cleaned == ["up"]


async def cancelled_as_the_answer_comes(bus: Bus, call: Coroutine[object, object, object]) -> bool:
    """Whether `call` ends cancelled, if that is asked between the arrival of its answer and its own next step."""
    async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
        task = group.create_task(call)
        await asyncio.sleep(0)
        # Nobody else knows the moment.
        answers = cast("dict[str, asyncio.Future[object]]", bus.nats_client._resp_map)  # pyright: ignore[reportPrivateUsage]
        [answer] = answers.values()
        answer.add_done_callback(lambda _: task.cancel())
    return task.cancelled()


@pytest.fixture
async def asked_bus(bus: Bus, root: str) -> Bus:
    """The first request subscribes to the answers of all."""
    with pytest.raises(NoRespondersError):
        await bus.request(root, b"", timeout_s=5.0)
    return bus


async def test_a_request_cancelled_as_its_answer_comes_is_cancelled(asked_bus: Bus, root: str) -> None:
    await asked_bus.subscribe(root, lambda message: asked_bus.publish(message.reply, b""))
    await asked_bus.flush()
    assert await cancelled_as_the_answer_comes(asked_bus, asked_bus.request(root, b"", timeout_s=5.0))


async def test_a_request_that_nobody_takes_is_cancelled_all_the_same(asked_bus: Bus, root: str) -> None:
    assert await cancelled_as_the_answer_comes(asked_bus, asked_bus.request(root, b"", timeout_s=5.0))


async def test_a_stored_publish_cancelled_as_its_acknowledgement_comes_is_cancelled(asked_bus: Bus, root: str) -> None:
    await asked_bus.ensure_stream(StreamSpec(f"{root.upper()}_S", (f"{root}.>",)))
    assert await cancelled_as_the_answer_comes(asked_bus, asked_bus.publish_stored(f"{root}.a", b"", retry_for_s=5.0))
