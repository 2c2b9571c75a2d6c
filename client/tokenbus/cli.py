"""The `tokenbus` command: runs one subcommand and turns what it raises into one line and an exit code."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import entry_points
from io import TextIOWrapper
from typing import Final, cast

from tokenbus.command import ENTRY_POINTS, Register, Run, Subcommands, UsageError
from tokenbus.commands import BUILT_IN
from tokenbus.errors import (
    AnswerLostError,
    BusError,
    CallRefusedError,
    InvalidRequestError,
    RequestRefusedError,
    TokenbusError,
    UnknownRequestError,
)

FAILED: Final = 1
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141

EXIT_CODES: Final[tuple[tuple[type[TokenbusError], int], ...]] = (
    (UsageError, 2),
    (InvalidRequestError, 2),
    (RequestRefusedError, 3),
    (CallRefusedError, 3),
    (BusError, 4),
    (AnswerLostError, 4),
    (UnknownRequestError, 5),
)
"""The first match counts; any other `TokenbusError` is a failed answer."""

EPILOG: Final = """\
exit codes:
  0    done; for a chat: answered, completely or as far as its limits allowed
  1    the answer failed or was cancelled
  2    wrong usage
  3    refused: the queue is full, the request is too large, no router runs
  4    no connection, or no answer from the bus
  5    no such request
  130  interrupted with Ctrl-C; the request was cancelled
  141  nobody reads the output any more; the request was cancelled
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit code. argparse exits by itself for help and wrong usage."""
    _prepare_streams()
    parser = argparse.ArgumentParser(
        prog="tokenbus",
        description="LLM chat requests over NATS.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(metavar="command", required=True)
    for register in BUILT_IN:
        register(subcommands)
    _add_installed(subcommands)
    args, unknown = parser.parse_known_args(argv)
    if unknown and args.run is not _report_broken:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code = _run(args.run, args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return NOBODY_READS
    except OSError as error:  # such as a full disk under the output
        _silence_stdout()
        print(f"tokenbus: {error}", file=sys.stderr)
        return FAILED
    except TokenbusError as error:
        print(f"tokenbus: {error}", file=sys.stderr)
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILED)
    return code


def _prepare_streams() -> None:
    """What the caller closed is an empty file, not None; what the output's encoding has not is written as an escape."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - stays open as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - see above
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - see above
    output: object = sys.stdout
    if isinstance(output, TextIOWrapper):
        cast("TextIOWrapper", output).reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """Python flushes stdout once more at exit; let that go nowhere (docs.python.org, signal, "Note on SIGPIPE")."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(run: Run, args: argparse.Namespace) -> int:
    outcome = run(args)
    return outcome if isinstance(outcome, int) else asyncio.run(outcome)


def _add_installed(subcommands: Subcommands) -> None:
    """The commands of other distributions. One that can not be loaded says so when called, and hinders no other."""
    for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda found: found.name):
        try:
            register: Register = entry_point.load()
        except Exception as error:  # noqa: BLE001 - the outermost edge of foreign code
            register = partial(_register_broken, entry_point.name, problem=f"{type(error).__name__}: {error}")
        register(subcommands)


def _register_broken(name: str, subcommands: Subcommands, *, problem: str) -> None:
    parser = subcommands.add_parser(name, help="can not be loaded")
    parser.set_defaults(run=_report_broken, problem=f"the command {name!r} can not be loaded: {problem}")


def _report_broken(args: argparse.Namespace) -> int:
    print(f"tokenbus: {args.problem}", file=sys.stderr)
    return FAILED
