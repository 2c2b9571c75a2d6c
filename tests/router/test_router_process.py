"""The router as a process: what it says about a bad catalog, and that it starts and stops as others expect."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tokenbus_router.catalog_file import CatalogFile
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.settings import RouterSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and notify sockets are POSIX")


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), **settings}


async def start(**settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tokenbus_router"),
        env=environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_bad_catalog_ends_the_process_with_every_problem_on_standard_error(tmp_path: Path) -> None:
    catalog = tmp_path / "mine.yaml"
    catalog.write_text("providers:\n  lab: {base_url: nowhere}\nmodels:\n  lab/x: {targets: [lba]}\n")
    process = await start(TOKENBUS_CATALOG=str(catalog))
    _, errors = await process.communicate()
    assert process.returncode == 2
    text = errors.decode()
    assert "mine.yaml" in text
    assert "providers.lab.base_url (line 2): must be a URL" in text
    assert "models[\"lab/x\"].targets[0] (line 4): 'lba' is not a provider; did you mean lab?" in text
    assert "Traceback" not in text


async def test_a_missing_catalog_is_named(tmp_path: Path) -> None:
    process = await start(TOKENBUS_CATALOG=str(tmp_path / "none.yaml"))
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "none.yaml" in errors.decode()


async def test_it_announces_that_it_is_ready_and_ends_cleanly_on_sigterm(
    nats_url: str, root: str, tmp_path: Path
) -> None:
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.setblocking(False)
        process = await start(TOKENBUS_NATS_URL=nats_url, TOKENBUS_ROOT=root, NOTIFY_SOCKET=str(address))
        async with asyncio.timeout(20):
            assert (await asyncio.get_running_loop().sock_recv(notified, 100)).startswith(b"READY=1")
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


def test_the_default_catalog_is_used_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENBUS_CATALOG", raising=False)
    assert "openai/gpt-4.1-mini" in load_catalog(CatalogFile(RouterSettings().catalog).text()).models
