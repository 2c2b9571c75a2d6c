"""`tokenbus watch`: follow any answer by its request id, from any machine."""

import argparse
import sys

from tokenbus.client import Client
from tokenbus.command import Subcommands, connected, connection_options
from tokenbus.commands.show import exit_code, show_answer
from tokenbus.stream import ResponseStream


def register(subcommands: Subcommands) -> None:
    """Adds `watch`."""
    about = "Follow the answer to any request: what is stored, then what comes. Leaving does not cancel it."
    parser = subcommands.add_parser(
        "watch", help="follow an answer by its request id", description=about, parents=[connection_options()]
    )
    parser.add_argument("request_id")
    parser.add_argument(
        "--after", type=int, default=-1, metavar="N", help="only what follows this sequence number (default: all)"
    )
    parser.add_argument(
        "--snapshot",
        action="store_const",
        const="snapshot",
        default="events",
        help="begin with what there is in one piece, not event by event",
    )
    parser.add_argument("--events", action="store_true", help="print every event, one line of JSON each")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    async with connected(args) as client, _attached(client, args) as stream:
        if args.events:
            await _print_events(stream)
            return 0
        return exit_code(await show_answer(stream, as_json=args.json))


def _attached(client: Client, args: argparse.Namespace) -> ResponseStream:
    return client.attach(args.request_id, after=args.after, mode=args.snapshot)


async def _print_events(stream: ResponseStream) -> None:
    while batch := await stream.batch():
        sys.stdout.write("".join([line.raw.decode() + "\n" for line in batch]))
        sys.stdout.flush()
