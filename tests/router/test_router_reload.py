"""A catalog that changes while the router runs, against a real server."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.router.conftest import GOOD, TENANT, Desk, open_desk, soon
from tokenbus.bus import Bus
from tokenbus_chassis.run import running_service
from tokenbus_router.app import routing
from tokenbus_router.catalog_file import CatalogFile
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError
from tokenbus_router.settings import RouterSettings
from tokenbus_schemas import CatalogReport, ModelList, ProviderTable, WorkOrder

LAB = "providers:\n  lab: { base_url: https://lab.example/v1, pool: bench }\nmodels:\n  lab/one: { targets: [lab] }\n"
BOTH = LAB.replace("models:", "  new: { base_url: https://new.example/v1 }\nmodels:")
BROKEN = LAB.replace("targets: [lab]", "targets: [lba]")


def write(path: Path, text: str) -> None:
    """As a careful editor does: the file is whole at every moment."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


@asynccontextmanager
async def watching_router(nats_url: str, root: str, path: Path, *, health_port: int = 0) -> AsyncGenerator[Bus]:
    chosen = RouterSettings(
        nats_url=nats_url,
        root=root,
        drain_timeout_s=2.0,
        catalog=path,
        catalog_poll_s=0.02,
        health_host="127.0.0.1",
        health_port=health_port,
    )
    file = CatalogFile(path)
    catalog = load_catalog(file.text())
    service = running_service(
        "router", lambda bus: routing(bus, settings=chosen, catalog=catalog, file=file), settings=chosen
    )
    async with service as bus:
        yield bus


async def report(desk: Desk) -> CatalogReport:
    return CatalogReport.model_validate(await desk.call(desk.subjects.catalog()))


async def model_ids(desk: Desk) -> list[str]:
    listed = ModelList.model_validate(await desk.call(desk.subjects.models(TENANT)))
    return [model.id for model in listed.models]


async def until_models_are(desk: Desk, wanted: list[str]) -> None:
    async with asyncio.timeout(5.0):
        while await model_ids(desk) != wanted:
            continue


async def until_there_are_problems(desk: Desk) -> CatalogReport:
    async with asyncio.timeout(5.0):
        while not (found := await report(desk)).problems:
            continue
    return found


async def test_a_changed_file_is_used_without_a_restart(bus: Bus, root: str, nats_url: str, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        assert await model_ids(desk) == ["lab/one"]
        write(path, BOTH)
        await until_models_are(desk, ["lab/one", "new/*"])
        await desk.send({**GOOD, "model": "new/x"}, "r1")

        async def work() -> Any:
            return await desk.bus.last_message_at_leader(desk.stored.work.name, f"{root}.work.new.standard.{TENANT}")

        assert WorkOrder.model_validate_json((await soon(work)).data).targets[0].provider == "new"


async def test_executors_learn_new_providers_and_find_the_queues_of_new_pools(
    bus: Bus, root: str, nats_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        write(path, BOTH)
        await until_models_are(desk, ["lab/one", "new/*"])
        entry = await bus.kv_get(desk.stored.catalog.name, "providers")
        assert entry is not None
        assert [row.name for row in ProviderTable.model_validate_json(entry.value).providers] == ["lab", "new"]
        for pool in ("bench", "new"):
            assert await bus.delete_consumer(desk.stored.work.name, f"{pool}_standard")


async def test_a_broken_file_changes_nothing_and_is_reported_until_it_is_mended(
    bus: Bus, root: str, nats_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        before = await report(desk)
        assert (before.source, before.problems) == (str(path), [])
        write(path, BROKEN)
        broken = await until_there_are_problems(desk)
        assert broken.problems == [
            "models[\"lab/one\"].targets[0] (line 4): 'lba' is not a provider; did you mean lab?"
        ]
        assert (broken.catalog, broken.since) == (before.catalog, before.since)
        await desk.send(GOOD, "r1")
        assert WorkOrder.model_validate_json((await soon(desk.work)).data).request_id == "r1"
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert [record.message for record in errors] == ["the catalog file can not be used, keeping the last one"]
        write(path, BOTH)
        await until_models_are(desk, ["lab/one", "new/*"])
        assert (await report(desk)).problems == []


async def readiness(port: int) -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()
    return json.loads(body)


async def test_readiness_names_a_broken_file_and_stays(
    bus: Bus, root: str, nats_url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path, health_port=unused_tcp_port):
        desk = await open_desk(bus, root)
        assert await readiness(unused_tcp_port) == {"ready": True}
        write(path, "[" * 10_000)
        [problem] = (await until_there_are_problems(desk)).problems
        said = await readiness(unused_tcp_port)
        assert said == {"ready": True, "troubles": [f"{path} can not be used, an older one is: {problem}"]}


async def test_every_change_while_requests_come_is_taken_and_no_request_is_lost(
    bus: Bus, root: str, nats_url: str, tmp_path: Path
) -> None:
    """Files that follow each other faster than they are read, broken ones among them, and 5,000 models at the end."""
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    many = LAB + "".join(f"  lab/m{number}: {{ targets: [lab] }}\n" for number in range(5_000))
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        for number in range(60):
            write(path, (BOTH, BROKEN, LAB, "[" * 1_000)[number % 4])
            await desk.send(GOOD, f"r{number}")
            async with asyncio.timeout(30.0):
                while WorkOrder.model_validate_json((await soon(desk.work)).data).request_id != f"r{number}":
                    continue
        write(path, many)
        async with asyncio.timeout(30.0):
            while len(await model_ids(desk)) < 5_000:
                continue


async def test_a_file_that_is_gone_is_reported_and_taken_again_when_it_is_back(
    bus: Bus, root: str, nats_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        path.unlink()
        assert "can not be read" in (await until_there_are_problems(desk)).problems[0]
        assert await model_ids(desk) == ["lab/one"]
        write(path, BOTH)
        await until_models_are(desk, ["lab/one", "new/*"])


async def test_what_was_routed_before_a_change_stays(bus: Bus, root: str, nats_url: str, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    async with watching_router(nats_url, root, path):
        desk = await open_desk(bus, root)
        await desk.send(GOOD, "r1")
        before = await soon(desk.work)
        write(path, "providers:\n  other: { base_url: https://other.example/v1 }\n")
        await until_models_are(desk, ["other/*"])
        assert await desk.work() == before
        assert await bus.delete_consumer(desk.stored.work.name, "bench_standard")
        await desk.send(GOOD, "r2")
        assert (await desk.error("r2"))["type"] == "model_not_found"


async def test_every_router_tells_what_it_uses(bus: Bus, root: str, nats_url: str, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, LAB)
    answers: list[bytes] = []
    async with watching_router(nats_url, root, path), watching_router(nats_url, root, path):
        inbox = bus.new_inbox()
        await bus.subscribe(inbox, lambda message: answers.append(message.data))
        await bus.publish(f"{root}.catalog", b"", reply=inbox)
        await eventually(lambda: len(answers) == 2)
    assert {CatalogReport.model_validate_json(answer).source for answer in answers} == {str(path)}


def test_a_file_counts_as_changed_when_it_stands_still_and_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("one")
    file = CatalogFile(path)
    assert file.text() == "one"
    assert not file.has_changed()
    write(path, "two")
    assert not file.has_changed()  # someone may be writing it
    assert file.has_changed()
    assert file.text() == "two"
    assert not file.has_changed()
    assert not file.has_changed()
    file.forget()
    assert file.has_changed()


def test_the_default_catalog_never_changes() -> None:
    file = CatalogFile(None)
    assert "openai/gpt-4.1" in file.text()
    assert not file.has_changed()
    assert not file.has_changed()


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(b"abc\xff")
    with pytest.raises(CatalogError, match="is not UTF-8 \\(byte 3\\)"):
        CatalogFile(path).text()
