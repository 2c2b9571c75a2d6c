"""`tokenbus providers` tells who is called and how they do."""

import json
import time

import pytest

from tests.client.command_line import Cli
from tokenbus.bus import BucketSpec, Bus
from tokenbus_schemas import CoolDown, ProviderRow, ProviderTable, cooldown_key


@pytest.fixture
def cli(nats_url: str, root: str) -> Cli:
    return Cli(nats_url, root=root)


async def publish(bus: Bus, root: str, *failed: CoolDown) -> None:
    """What router and executors keep."""
    rows = [
        ProviderRow(name="openai", base_url="https://api.openai.com/v1", pool="openai", api_key_env="OPENAI_API_KEY"),
        ProviderRow(name="groq", base_url="https://groq.example/v1", pool="fast", apis=("chat_completions",)),
    ]
    for name in ("catalog", "cooldown"):
        await bus.ensure_bucket(BucketSpec(f"{root}_{name}"))
    await bus.kv_put(f"{root}_catalog", "providers", ProviderTable(providers=rows).model_dump_json().encode())
    for one in failed:
        key = cooldown_key(one.provider, api=one.api, model=one.model)
        await bus.kv_put(f"{root}_cooldown", key, one.model_dump_json().encode())


def failing(**changes: object) -> CoolDown:
    now = time.time()
    fields = {"provider": "groq", "model": "openai/gpt-oss-120b", "api": "chat_completions", "code": "upstream_error"}
    return CoolDown.model_validate({**fields, "failures": 3, "failed_at": now - 4, "until": now + 90, **changes})


async def test_providers_are_listed_with_their_pools_and_apis(cli: Cli, bus: Bus, root: str) -> None:
    await publish(bus, root)
    outcome = await cli.run("providers")

    assert outcome == (0, "openai  pool openai  responses, chat_completions\ngroq    pool fast  chat_completions\n", "")


async def test_failed_targets_stand_below_their_provider(cli: Cli, bus: Bus, root: str) -> None:
    await publish(bus, root, failing(), failing(model="b", failures=1, until=0), failing(model="c", until=1))
    lines = (await cli.run("providers")).stdout.splitlines()

    assert lines[1].startswith("groq ")
    assert lines[2].startswith("        b (chat_completions): takes requests; failed once, ")
    assert lines[3].startswith("        c (chat_completions): waits for a request to try it; failed 3 times in a row")
    assert lines[4].startswith("        openai/gpt-oss-120b (chat_completions): cooling down for ")
    assert lines[4].endswith(" with upstream_error")


async def test_json_has_the_entries_whole_and_what_they_mean(cli: Cli, bus: Bus, root: str) -> None:
    await publish(bus, root, failing())
    told = json.loads((await cli.run("providers", "--json")).stdout)

    assert [provider["name"] for provider in told] == ["openai", "groq"]
    assert told[1]["failed_targets"][0]["state"] == "cooling"
    assert CoolDown.model_validate(told[1]["failed_targets"][0]).failures == 3


async def test_a_root_that_nobody_uses_is_wrong_usage(cli: Cli) -> None:
    outcome = await cli.run("providers")

    assert outcome.code == 2
    assert "has run here" in outcome.stderr
