"""A change of the catalog is taken up while the executor runs."""

import pytest

from tests.executor.conftest import TENANT, Desk, provider, target
from tokenbus.bus import Bus
from tokenbus_schemas import Pool
from tokenbus_simulator import Simulator


async def test_a_provider_with_a_pool_of_its_own_is_served_without_a_restart_and_no_stream_is_dropped(
    desk: Desk, executor: Bus, simulator: Simulator
) -> None:
    del executor
    running = await desk.send(desk.order(target("sim;rate=50;tokens=40")))
    await desk.until(running, lambda lines: len(lines) > 6)
    new = target(provider="new", pool=Pool("new"))
    await desk.publish_providers(provider(simulator), provider(simulator, name="new", pool="new"))
    await desk.bus.publish_stored(
        desk.subjects.work(Pool("new"), "standard", TENANT), (order := desk.order(new)).model_dump_json().encode()
    )

    assert (await desk.answered(order.request_id))[-1]["response"]["tokenbus"]["provider"] == "new"
    assert (await desk.answered(running))[-1]["type"] == "response.completed"


async def test_a_table_that_can_not_be_read_leaves_the_last_good_one(
    desk: Desk, executor: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    del executor
    await desk.bus.kv_put(desk.stored.catalog.name, "providers", b'{"providers": [{"name": "a b"}]}')

    assert (await desk.ask())[-1]["type"] == "response.completed"
    assert "unreadable provider table" in caplog.text
