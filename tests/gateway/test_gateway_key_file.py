"""Keys that change while the gateway runs."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.gateway.test_gateway_access import KEY, livekit_token
from tokenbus_gateway.access.access_file import read_access_file
from tokenbus_gateway.access.access_file_edit import add_key
from tokenbus_gateway.access.api_keys import MintedKey, mint_key
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.access.caller import Limits
from tokenbus_gateway.access.key_file import follow_key_file
from tokenbus_gateway.api_errors import RefusedError
from tokenbus_gateway.limits import Meter


def added(path: Path, **row: object) -> MintedKey:
    key = mint_key()
    add_key(path, {"id": key.key_id, "hash": key.hash, **row})
    return key


@asynccontextmanager
async def following(path: Path) -> AsyncGenerator[Authenticator]:
    authenticator = Authenticator(read_access_file(path), environment={})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow_key_file(path, authenticator, environment={}, poll_s=0.01))
        await asyncio.sleep(0)  # it has looked at the file
        yield authenticator
        task.cancel()


def lets_in(authenticator: Authenticator, key: MintedKey) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            return bool(authenticator.caller(f"Bearer {key.text}"))
        except RefusedError:
            return False

    return ask


async def test_a_new_key_is_let_in_and_a_removed_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    first = added(path)
    async with following(path) as known:
        second = added(path)
        await eventually(lets_in(known, second))
        assert lets_in(known, first)()
        caller = known.caller(f"Bearer {first.text}")
        path.write_text(f"keys: [{{id: '{second.key_id}', hash: '{second.hash}', models: [openai/*]}}]\n")
        await eventually(lambda: not lets_in(known, first)())
        with pytest.raises(RefusedError, match="not valid any more"):
            known.renewed(caller)
        assert known.renewed(known.caller(f"Bearer {second.text}")).models == ("openai/*",)


@pytest.mark.parametrize("broken", ["keys: 5\n", "", "keys: []\n", None])
async def test_a_file_that_can_not_be_used_changes_nothing_and_is_reported_once(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.yaml"
    key = added(path)

    def reports() -> int:
        return sum(record.levelno == logging.ERROR for record in caplog.records)

    async with following(path) as known:
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)
        await eventually(lambda: reports() == 1)
        assert lets_in(known, key)()
        second = added(path.with_name("other.yaml"))
        path.with_name("other.yaml").replace(path)
        await eventually(lets_in(known, second))
    assert reports() == 1


async def test_a_livekit_secret_in_its_own_file_may_be_rotated(tmp_path: Path) -> None:
    old, new = "the first secret, of 32 letters or more", "the second secret, which is longer than the first"
    path, secret = tmp_path / "keys.yaml", tmp_path / "secret"
    secret.write_text(old)
    path.write_text(f"livekit: [{{key: {KEY}, secret_file: {secret}}}]\n")
    async with following(path) as known:
        assert known.caller(f"Bearer {livekit_token(old)}")
        secret.write_text(new)

        def is_known() -> bool:
            try:
                return bool(known.caller(f"Bearer {livekit_token(new)}"))
            except RefusedError:
                return False

        await eventually(is_known)
        with pytest.raises(RefusedError):
            known.caller(f"Bearer {livekit_token(old)}")


def test_changed_limits_count_for_the_next_request_and_what_runs_goes_on() -> None:
    meter = Meter()
    usage = meter.usage("k", Limits(requests_per_minute=1), now=0.0)
    usage.begin(now=0.0)
    with pytest.raises(RefusedError):
        meter.usage("k", Limits(requests_per_minute=1), now=0.0).begin(now=0.0)
    changed = meter.usage("k", Limits(requests_per_minute=100), now=0.0)
    changed.begin(now=0.0)
    assert changed is usage
    assert changed.running == 2
