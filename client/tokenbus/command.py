"""What a subcommand of `tokenbus` is, and how another distribution adds one.

A distribution names a registering function under the entry-point group `tokenbus.commands`:

    [project.entry-points."tokenbus.commands"]
    up = "tokenbus_local.commands:up"

The function adds its parser, and `set_defaults(run=…)` says what to call:

    def up(subcommands: Subcommands) -> None:
        parser = subcommands.add_parser("up", help="start everything on this machine")
        parser.set_defaults(run=run)

    async def run(args: argparse.Namespace) -> int: ...

`run` gives the exit code (the table is in `cli.py`). An `async` one runs in a fresh event loop, where Ctrl-C cancels
it; a plain one may have a loop of its own and handle signals itself. A `TokenbusError` that it raises becomes one line
on stderr. The function's module is imported at every start of `tokenbus`: what is heavy is better imported in `run`.
"""

import argparse
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

from tokenbus.bus_options import Login
from tokenbus.client import DEFAULT_SERVERS, Client, connect
from tokenbus.errors import TokenbusError
from tokenbus_schemas import DEFAULT_ROOT, DEFAULT_TENANT

ENTRY_POINTS: Final = "tokenbus.commands"
SERVER_VARIABLE: Final = "TOKENBUS_NATS_URL"


class UsageError(TokenbusError):
    """An option or argument has a value that can not be used; the text names it."""


class Subcommands(Protocol):
    """What `argparse.ArgumentParser.add_subparsers` returns."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = None,
        description: str | None = None,
        parents: Sequence[argparse.ArgumentParser] = (),
    ) -> argparse.ArgumentParser: ...


Register = Callable[[Subcommands], None]
Run = Callable[[argparse.Namespace], int | Coroutine[Any, Any, int]]


def connection_options() -> argparse.ArgumentParser:
    """A parent parser with the options of every command that talks to a running Tokenbus; for `connected()`."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("connection")
    server = os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVERS
    group.add_argument(
        "--server",
        default=server,
        metavar="URL",
        help=f"NATS URLs, with commas between; else ${SERVER_VARIABLE}, else {DEFAULT_SERVERS}",
    )
    group.add_argument("--credentials", metavar="FILE", help="NATS credentials file; a login may also stand in the URL")
    group.add_argument("--tenant", default=DEFAULT_TENANT, help="whose requests (default: %(default)s)")
    group.add_argument("--root", default=DEFAULT_ROOT, help="root token of all subjects (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


@asynccontextmanager
async def connected(args: argparse.Namespace) -> AsyncGenerator[Client]:
    """A client as the options say. Raises `BusUnavailableError`, and `UsageError` for an impossible option."""
    login = Login(credentials_file=args.credentials)
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                connect(args.server, tenant=args.tenant, root=args.root, login=login)
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        yield client
