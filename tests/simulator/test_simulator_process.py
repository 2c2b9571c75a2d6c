"""The simulator as a process, its settings, and its public names."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from pydantic import ValidationError

import tokenbus_simulator
from tokenbus_simulator import Fault, Script, ScriptError, parse_script
from tokenbus_simulator.profiles import PROFILES
from tokenbus_simulator.quirks import QUIRKS
from tokenbus_simulator.settings import Settings

README = (Path(__file__).parents[2] / "services" / "simulator" / "README.md").read_text()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_prints_its_url_serves_and_ends_on_a_signal(signum: signal.Signals) -> None:
    environment = {**os.environ, "TOKENBUS_SIMULATOR_SCRIPT": "text=From the environment"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tokenbus_simulator", "--seed", "fixed"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            url = (await process.stdout.readline()).decode().strip()
            async with session.post(f"{url}/responses", json={"model": "m"}) as answer:
                text = (await answer.json())["output"][0]["content"][0]["text"]
            # A request that hangs must not keep the process from ending.
            async with session.post(f"{url}/responses", json={"model": "sim-headers"}):
                process.send_signal(signum)
                output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert text == "From the environment"
    assert (process.returncode, output, errors) == (0, b"", b"")


def test_settings_refuse_a_script_that_can_not_be_read() -> None:
    with pytest.raises(ValidationError, match="unknown setting 'speed'"):
        Settings(script="speed=1")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("--script=speed=1", "tokenbus-simulator: script: Value error, unknown setting 'speed'"),
        ("--port=99999", "tokenbus-simulator: port: Input should be less than or equal to 65535"),
        ("--host=203.0.113.1", "tokenbus-simulator: "),
    ],
)
async def test_wrong_settings_end_the_process_with_one_line(setting: str, message: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tokenbus_simulator", setting), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.decode().startswith(message)
    assert errors.count(b"\n") == 1


def test_the_readme_has_a_row_for_every_setting() -> None:
    for name, field in Settings.model_fields.items():
        kebab = name.replace("_", "-")
        assert f"| `--{kebab}` | `TOKENBUS_SIMULATOR_{name.upper()}` | {field.description} |" in README


def test_the_readme_tells_of_every_fault_and_quirk_and_every_setting_of_a_script() -> None:
    told = {word for line in README.split("\n") if line.startswith("| `") for word in re.findall("`([^`]+)`", line)}
    with pytest.raises(ScriptError) as caught:
        parse_script("nonsense")
    settings = str(caught.value).partition("use one of ")[2].split(", ")
    assert {*Fault, *QUIRKS, *settings} <= told


def test_the_readme_has_a_row_for_every_provider_with_its_path() -> None:
    for name, profile in PROFILES.items():
        path = f"`{profile.base_path}`" if profile.base_path else "none"
        assert f"| `{name}` | {path} | " in README


def test_the_default_script_is_an_empty_one() -> None:
    assert parse_script(Settings().script) == Script()


def test_the_public_names_are_these() -> None:
    visible = {name for name, value in vars(tokenbus_simulator).items() if not name.startswith("_") and callable(value)}
    assert visible | {"SCRIPT_HEADER"} == set(tokenbus_simulator.__all__)
