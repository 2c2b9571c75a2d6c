"""What hosts say of themselves over NATS's service API, and what callers make of it."""

import asyncio
import json
from typing import Any

import pytest
from nats.micro.service import ServiceInfo as NatsServiceInfo
from nats.micro.service import ServicePing as NatsServicePing
from nats.micro.service import ServiceStats as NatsServiceStats

from tests.conftest import eventually
from tests.toolkit.conftest import Calling, StartHost, hosted
from tokenbus.bus import Bus
from tokenbus.gathering import gather
from tokenbus.tool_directory import DirectoryTimes, tool_directory
from tokenbus.tool_discovery import discover
from tokenbus_schemas import Subjects
from tokenbus_schemas.subjects import scope, tool_name
from tokenbus_toolkit import Tool, ToolDefinitionError, raw_tool, tool


def weather(unit: str = "C", *, version: str = "1.0.0", says: str = "sunny") -> Tool:
    """A tool of this name with one of many schemas."""
    schema = {"type": "object", "properties": {"unit": {"type": "string", "const": unit}}}

    @raw_tool(name="weather", description=f"In {unit}.", parameters=schema, version=version)
    async def answer(arguments: dict[str, Any], context: object) -> str:
        del arguments, context
        return says

    return answer


@tool(timeout_s=7)
async def nothing() -> None:
    """Do nothing."""


def subject_of(tool: Tool, subjects: Subjects) -> str:
    return subjects.tool(scope(tool.description.scope), tool_name(tool.name))


async def named(bus: Bus, verb: str, service: str) -> list[dict[str, Any]]:
    return [json.loads(answer) for answer in await gather(bus, f"$SRV.{verb}.{service}")]


async def test_answers_are_those_of_a_nats_micro_service(
    host: StartHost, calling: Calling, bus: Bus, root: str
) -> None:
    """Read with nats-py's own classes."""
    await host(nothing, weather(), service=f"s{root}", version="1.2.3")
    await calling("nothing")
    await calling("weather", '{"wrong')

    (ping,), (info,), (stats,) = [await named(bus, verb, f"s{root}") for verb in ("PING", "INFO", "STATS")]

    assert NatsServicePing.from_dict(ping).version == "1.2.3"
    described = NatsServiceInfo.from_dict(info)
    assert sorted(endpoint.name for endpoint in described.endpoints) == ["nothing", "weather"]
    assert {endpoint.queue_group for endpoint in described.endpoints} == {"tools"}
    counted = {endpoint.name: endpoint for endpoint in NatsServiceStats.from_dict(stats).endpoints}
    assert (counted["nothing"].num_requests, counted["nothing"].num_errors) == (1, 0)
    assert (counted["weather"].num_errors, counted["weather"].last_error) == (1, "invalid_arguments")
    assert counted["nothing"].processing_time > 0
    assert counted["nothing"].data == {"running": 0, "waiting": 0, "ignored_stops": 0}


async def test_host_is_found_by_name_and_by_id(host: StartHost, bus: Bus, root: str) -> None:
    await host(nothing, service=f"s{root}")
    (info,) = await named(bus, "INFO", f"s{root}")

    assert await named(bus, "INFO", f"s{root}.{info['id']}") == [info]
    assert await gather(bus, f"$SRV.INFO.s{root}.nobody") == []


async def test_discovery_lists_what_is_served_under_a_root(host: StartHost, bus: Bus, subjects: Subjects) -> None:
    await host(nothing, weather())
    await host(nothing)

    found = await discover(bus, subjects)

    assert [(served.description.name, len(served.offers)) for served in found] == [("nothing", 2), ("weather", 1)]
    assert found[0].description == nothing.description
    assert await discover(bus, Subjects("elsewhere")) == []


async def test_stopped_host_is_not_listed(nats_url: str, bus: Bus, root: str, subjects: Subjects) -> None:
    async with hosted(nats_url, nothing, root=root):
        assert len(await discover(bus, subjects)) == 1

    assert await discover(bus, subjects) == []


async def test_host_with_more_tools_than_fit_an_answer_shows_several_instances(
    host: StartHost, bus: Bus, subjects: Subjects, root: str
) -> None:
    def large(number: int) -> Tool:
        schema = {"type": "object", "description": "x" * 100_000}

        @raw_tool(name=f"large{number}", description="Large.", parameters=schema)
        async def answer(arguments: dict[str, Any], context: object) -> None:
            del arguments, context

        return answer

    await host(*(large(number) for number in range(12)), service=f"s{root}")

    assert len(await discover(bus, subjects)) == 12
    assert len(await named(bus, "PING", f"s{root}")) == 3


async def test_directory_asks_once_for_what_is_there_and_again_for_what_is_not(
    host: StartHost, bus: Bus, subjects: Subjects
) -> None:
    async with tool_directory(bus, subjects, times=DirectoryTimes(retry_s=0.0)) as directory:
        assert await directory.find(subject_of(nothing, subjects)) is None
        await host(nothing)
        found = await directory.find(subject_of(nothing, subjects))
        assert found is not None
        assert found.description == nothing.description
        assert await directory.find(subject_of(nothing, subjects)) is found
        assert await directory.all() == [found]


async def test_directory_uses_an_old_list_while_it_asks_for_a_new_one(
    nats_url: str, root: str, bus: Bus, subjects: Subjects
) -> None:
    asked = asyncio.Event()
    async with tool_directory(bus, subjects, times=DirectoryTimes(fresh_s=0.0)) as directory:
        async with hosted(nats_url, nothing, root=root):
            (known,) = await directory.all()
        await bus.subscribe("$SRV.INFO", lambda _: asked.set())
        await bus.flush()
        assert await directory.find(known.subject) is known
        assert not asked.is_set()

        async with asyncio.timeout(10):
            await asked.wait()
            while await directory.find(known.subject) is not None:
                await bus.flush()


async def test_directory_does_not_use_a_list_that_is_too_old(
    nats_url: str, root: str, bus: Bus, subjects: Subjects
) -> None:
    async with tool_directory(bus, subjects, times=DirectoryTimes(fresh_s=0.0, usable_s=0.0)) as directory:
        async with hosted(nats_url, nothing, root=root):
            assert await directory.all()
        assert await directory.all() == []


async def test_name_of_another_services_tool_is_refused_and_reported(
    host: StartHost, calling: Calling, bus: Bus, subjects: Subjects, caplog: pytest.LogCaptureFixture
) -> None:
    first = await host(weather("C", says="ours"), service="first")
    second = await host(weather("F", says="theirs"), nothing, service="second")

    assert (first.refused, second.refused) == ([], [subject_of(weather(), subjects)])
    assert [(await calling("weather")).output for _ in range(10)] == ["ours"] * 10
    assert (await calling("nothing")).outcome == "ok"
    (listed,) = [served for served in await discover(bus, subjects) if served.description.name == "weather"]
    assert ([offer.service for offer in listed.offers], listed.in_conflict) == (["first"], False)
    assert "another service has this tool's name, with another schema: ours is not served" in caplog.text


async def test_refused_name_is_served_once_it_is_free(
    nats_url: str, root: str, calling: Calling, host: StartHost
) -> None:
    async with hosted(nats_url, weather("C", says="first"), root=root, service="first"):
        second = await host(weather("F", says="second"), service="second")
        assert second.refused

    await eventually(lambda: not second.refused)
    assert (await calling("weather")).output == "second"


async def test_of_services_that_start_together_exactly_one_serves(nats_url: str, root: str, calling: Calling) -> None:
    both = asyncio.Barrier(2)
    served: list[bool] = []

    async def start(service: str, unit: str) -> None:
        async with hosted(nats_url, weather(unit), root=root, service=service, ask_again_s=60) as running:
            served.append(not running.refused)
            await both.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(start("first", "C"))
        group.create_task(start("second", "F"))

    assert sorted(served) == [False, True]
    assert calling


async def test_services_that_agree_on_the_schema_share_a_name(host: StartHost, subjects: Subjects, bus: Bus) -> None:
    await host(weather(), service="first")
    second = await host(weather(), service="second")

    (listed,) = await discover(bus, subjects)
    assert (second.refused, listed.in_conflict, len(listed.offers)) == ([], False, 2)


async def test_replicas_may_differ_while_they_are_updated(
    host: StartHost, bus: Bus, subjects: Subjects, caplog: pytest.LogCaptureFixture
) -> None:
    """Callers see the newest version, and everybody is told."""
    await host(weather("C", version="1.9.0"), service="one")
    await host(weather("F", version="1.10.0"), service="one")

    (listed,) = await discover(bus, subjects)
    assert (listed.description.description, listed.in_conflict) == ("In F.", True)
    assert "a tool is served with another schema too" in caplog.text


async def test_tools_come_and_go_while_a_host_runs(host: StartHost, calling: Calling) -> None:
    running = await host()
    await running.serve([nothing])
    assert (await calling("nothing")).outcome == "ok"
    with pytest.raises(ToolDefinitionError, match="is defined twice in scope 'shared'"):
        await running.serve([nothing])

    await running.withdraw([nothing])
    assert not hasattr(await calling.reach(calling.make("nothing")), "outcome")
