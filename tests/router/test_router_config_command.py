"""`tokenbus config`, run as people run it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.router.test_router_reload import BROKEN, LAB, watching_router, write
from tokenbus.bus import Bus
from tokenbus_router.catalog import schema_text
from tokenbus_router.catalog_load import load_catalog

COMMAND = str(Path(sys.executable).with_name("tokenbus"))


class Ran(NamedTuple):
    code: int
    out: str
    errors: str


async def config(*arguments: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "config", *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), errors.decode())


async def test_a_good_file_is_said_to_be_good(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(LAB)
    code, out, _ = await config("check", str(file))
    assert code == 0
    assert out.startswith(f"{file} is good: 1 providers, 1 models")


async def test_the_default_catalog_is_checked_where_no_file_is_named() -> None:
    code, out, _ = await config("check")
    assert (code, out.partition(":")[0]) == (0, "the default catalog is good")


async def test_every_problem_of_a_file_is_listed_with_path_and_line(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(BROKEN.replace("lab.example/v1", "lab.example/v1/"))
    code, out, errors = await config("check", str(file))
    assert (code, out) == (1, "")
    assert "providers.lab.base_url (line 2): must end in the path of the API" in errors
    assert 'models["lab/one"].targets[0] (line 4)' in errors
    assert "Traceback" not in errors


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, _, errors = await config("check", str(tmp_path / "none.yaml"))
    assert code == 1
    assert "none.yaml can not be used" in errors


async def test_the_schema_is_printed_for_editors() -> None:
    code, out, _ = await config("schema")
    assert (code, out) == (0, schema_text())


@pytest.mark.parametrize("form", ["yaml", "json"])
async def test_a_file_is_shown_with_all_that_it_takes_over(tmp_path: Path, form: str) -> None:
    file = tmp_path / "catalog.yaml"
    text = "extends: default\nproviders:\n  ollama: { base_url: http://localhost:11434/v1 }\n"
    file.write_text(text)
    code, out, _ = await config("show", *(["--json"] if form == "json" else []), str(file))
    shown = json.loads(out) if form == "json" else yaml.safe_load(out)
    assert code == 0
    assert list(shown["models"])[-1] == "ollama/*"
    assert load_catalog(out).providers == load_catalog(text).providers


async def test_the_catalog_of_a_running_router_is_shown(root: str, nats_url: str, tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    write(file, LAB)
    async with watching_router(nats_url, root, file):
        code, out, _ = await config("show", "--server", nats_url, "--root", root)
        assert code == 0
        assert str(file) in out.splitlines()[0]
        assert yaml.safe_load(out)["models"] == {"lab/one": {"targets": ["lab"]}}


async def test_a_broken_file_of_a_running_router_is_shown_with_the_catalog_in_use(
    bus: Bus, root: str, nats_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "catalog.yaml"
    write(file, LAB)
    async with watching_router(nats_url, root, file), asyncio.timeout(20.0):
        write(file, BROKEN)
        while (ran := await config("show", "--server", nats_url, "--root", root)).code == 0:
            continue
        assert ran.code == 1
        assert "can not be used, so this is an older one" in ran.out
        assert "'lba' is not a provider" in ran.out
        assert yaml.safe_load(ran.out)["models"] == {"lab/one": {"targets": ["lab"]}}


async def test_without_a_router_the_command_says_so(root: str, nats_url: str) -> None:
    code, _, errors = await config("show", "--server", nats_url, "--root", root)
    assert code == 3
    assert f"{root}.catalog" in errors
