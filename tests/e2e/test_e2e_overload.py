"""The whole system with more requests than it can answer: who stands before whom, counted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

import tokenbus
from tests.conftest import eventually
from tokenbus import Client
from tokenbus_local.environment import ProviderKeys
from tokenbus_local.stack import Stack, stack
from tokenbus_schemas import PriorityClass

SLOTS: Final = 8
LOW_SLOTS: Final = 6
PLACES: Final = 10
FLOOD: Final = 300
MODEL: Final = "openai/sim@tokens:20@rate:20"
"""An answer of one second."""


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Stack]:
    """A Tokenbus of few slots, whose tenants have few places in each queue."""
    for name, value in (("SLOTS", SLOTS), ("TENANT_MAX_WORK", PLACES), ("EXECUTOR_POOLS", "openai")):
        monkeypatch.setenv(f"TOKENBUS_{name}", str(value))
    with (tmp_path / "services.log").open("wb") as log:
        async with stack(ProviderKeys({}), store=tmp_path / "nats", script="", tools={}, log=log) as running:
            yield running


class Flood:
    """Many requests of one tenant; counts those whose answer has begun."""

    def __init__(self) -> None:
        self.begun = 0

    async def one(self, client: Client, *, priority_class: PriorityClass) -> None:
        async with client.stream(model=MODEL, input="x", priority_class=priority_class, timeout_s=600) as stream:
            await stream.batch()
            self.begun += 1
            await stream.response()


@asynccontextmanager
async def flooding(nats_url: str, *, priority_class: PriorityClass) -> AsyncGenerator[Flood]:
    """While inside. Yields when answers have begun."""
    flood = Flood()
    async with AsyncExitStack() as exits:
        client = await exits.enter_async_context(tokenbus.connect(nats_url, tenant="flood"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(flood.one(client, priority_class=priority_class)) for _ in range(FLOOD)]
            await eventually(lambda: flood.begun > 0, timeout_s=30)
            yield flood
            for task in tasks:
                task.cancel()


async def test_in_front_of_a_tenants_request_stand_no_more_than_the_places_of_another(small: Stack) -> None:
    async with (
        flooding(small.nats_url, priority_class="standard") as flood,
        tokenbus.connect(small.nats_url, tenant="quiet") as client,
    ):
        before = flood.begun
        async with client.stream(model=MODEL, input="x", timeout_s=60) as stream:
            await stream.batch()
            stood_before = flood.begun - before
        assert stood_before <= PLACES + SLOTS
        assert flood.begun < FLOOD / 2


async def test_a_priority_request_is_answered_while_low_fills_all_that_it_may(small: Stack) -> None:
    async with (
        flooding(small.nats_url, priority_class="low") as flood,
        tokenbus.connect(small.nats_url, tenant="flood") as client,
    ):
        await eventually(lambda: flood.begun >= LOW_SLOTS, timeout_s=30)
        before = flood.begun
        async with client.stream(model=MODEL, input="x", priority_class="priority", timeout_s=60) as stream:
            await stream.batch()
        assert flood.begun - before <= 2 * LOW_SLOTS
