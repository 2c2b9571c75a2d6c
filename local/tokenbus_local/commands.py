"""`tokenbus up` and `tokenbus demo`."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from tokenbus.command import Subcommands
from tokenbus.errors import TokenbusError
from tokenbus_local.demo import run_demo
from tokenbus_local.environment import ProviderKeys, provider_keys
from tokenbus_local.nats_server import NatsServerError
from tokenbus_local.service_process import ServiceDiedError
from tokenbus_local.services import gateway_settings, tools_settings
from tokenbus_local.stack import DEFAULT_SCRIPT, stack

LOG_TAIL_BYTES: Final = 4000
INTERRUPTED: Final = 130
MAX_PORT: Final = 65535


class LocalError(TokenbusError):
    """Tokenbus could not be started, or a part of it died; the text says which."""


def up(subcommands: Subcommands) -> None:
    """Add `tokenbus up`."""
    parser = subcommands.add_parser("up", help="start nats-server and every service on this machine, until Ctrl-C")
    parser.add_argument("--port", type=_port, default=4222, help="nats-server's port on 127.0.0.1; -1: a free one")
    parser.add_argument("--gateway-port", type=_port, help="the gateway's port; -1: a free one; default: 8080")
    parser.add_argument("--executors", type=_count, default=1, help="how many executor processes")
    parser.add_argument("--store", type=Path, default=Path(".tokenbus/nats"), help="folder of the streams")
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="how the simulator answers, where it does")
    parser.set_defaults(run=_up)


def demo(subcommands: Subcommands) -> None:
    """Add `tokenbus demo`."""
    parser = subcommands.add_parser("demo", help="start everything, send real requests, show the tokens arriving")
    parser.set_defaults(run=_demo)


def _port(text: str) -> int:
    port = int(text)
    if port != -1 and not 1 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{port} is no port: 1 to {MAX_PORT}, or -1 for a free one")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is too few: at least 1")
    return count


async def _up(arguments: argparse.Namespace) -> int:
    async with _told_in_one_line(), _until_signal() as stopped:
        keys = _keys()
        async with stack(
            keys,
            store=arguments.store,
            port=arguments.port,
            executors=arguments.executors,
            script=arguments.script,
            tools=tools_settings(os.environ),
            gateway=gateway_settings(arguments.gateway_port),
        ) as running:
            print(f"Tokenbus is up at {running.nats_url}")
            print(f"OpenAI's SDKs find it at {running.gateway_url}")
            print(_who_answers(running.simulator_url))
            print("Try: tokenbus chat -m openai/gpt-4.1-mini 'Say hello.'    Stop: Ctrl-C", flush=True)
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(running.watch())
                await stopped.wait()
                watching.cancel()
            print("draining ...", flush=True)
    return 0


async def _demo(_: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="tokenbus-demo-") as scratch:
        log_path = Path(scratch) / "services.log"
        with log_path.open("wb") as log:
            try:
                async with _told_in_one_line(), _until_signal() as stopped:
                    finished = await _scenes(stopped, store=Path(scratch) / "nats", log=log)
            except TokenbusError:
                sys.stderr.write(log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace"))
                raise
    if not finished:
        return INTERRUPTED
    print("\nKeep it running: tokenbus up    Ask: tokenbus chat 'Say hello.'")
    return 0


async def _scenes(stopped: asyncio.Event, *, store: Path, log: IO[bytes]) -> bool:
    """Whether the demo came to its end; False when a signal stopped it. Everything is down again on return."""
    async with stack(_keys(), store=store, log=log) as running:
        print(_who_answers(running.simulator_url), flush=True)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(running.watch())
            scenes = group.create_task(run_demo(running.nats_url))
            signalled = group.create_task(stopped.wait())
            await asyncio.wait({scenes, signalled, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watching, scenes, signalled):
                task.cancel()
    return not stopped.is_set()


def _keys() -> ProviderKeys:
    return provider_keys(os.environ, dotenv=Path(".env"))


def _who_answers(simulator_url: str | None) -> str:
    if simulator_url is None:
        return "Answers come from OpenAI (OPENAI_API_KEY is set)."
    return f"Answers come from the SIMULATOR at {simulator_url}, not from a model: set OPENAI_API_KEY for real ones."


@asynccontextmanager
async def _until_signal() -> AsyncGenerator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set; a second one of them cancels the body and raises `KeyboardInterrupt`.

    The system's own way with a second SIGTERM would leave every process of ours behind: each is a session of its own.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    stopped, forced = asyncio.Event(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
        elif main is not None and not forced.is_set():
            forced.set()
            main.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    except asyncio.CancelledError:
        if forced.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _told_in_one_line() -> AsyncGenerator[None]:
    """What may go wrong here is raised by itself, out of all groups: a `TokenbusError`, or that nobody reads stdout.

    A local process that could not be started, or died, is a `LocalError`.
    """
    problem: Exception | None = None
    try:
        yield
    except* (NatsServerError, ServiceDiedError, TokenbusError, BrokenPipeError) as problems:
        problem = _first(problems)
    if isinstance(problem, NatsServerError | ServiceDiedError):
        raise LocalError(str(problem)) from problem
    if problem is not None:
        raise problem


def _first(problems: BaseExceptionGroup[Exception]) -> Exception:
    first = problems.exceptions[0]
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
