"""A client and the other side of its wire, over the session's real NATS server."""

from collections.abc import AsyncGenerator

import pytest

import tokenbus
from tests.client.answerer import Answerer, answering
from tests.client.command_line import Cli
from tokenbus.bus import Bus

FAST = tokenbus.ReadingTimes(silence_s=0.2, gap_s=0.4, stored_gap_s=0.1, unknown_s=0.2, grace_s=0.3)
"""Patience in tests: the same rules, sooner."""


@pytest.fixture
async def answerer(bus: Bus, root: str) -> AsyncGenerator[Answerer]:
    async with answering(bus, root=root) as playing:
        yield playing


@pytest.fixture
async def client(nats_url: str, root: str, answerer: Answerer) -> AsyncGenerator[tokenbus.Client]:
    async with tokenbus.connect(nats_url, root=root, options=tokenbus.ClientOptions(times=FAST)) as connected:
        yield connected


@pytest.fixture
def cli(nats_url: str, root: str) -> Cli:
    return Cli(nats_url, root=root)
