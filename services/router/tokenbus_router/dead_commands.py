"""`tokenbus dead`: look at the messages that could not be processed, send them again, or drop them.

For operators: it needs a login that reaches the services' streams.
"""

import argparse
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tokenbus.bus import Bus, Login
from tokenbus.command import Subcommands, UsageError, connection_options
from tokenbus.errors import NoStreamError

if TYPE_CHECKING:
    from tokenbus_router.dead_store import DeadLetter, DeadStore


def dead(subcommands: Subcommands) -> None:
    """Adds `dead`."""
    about = "Messages that could not be processed: list them, show one, send it again as a new request, or drop it."
    parser = subcommands.add_parser("dead", help="look after the dead letters", description=about)
    actions = parser.add_subparsers(metavar="action", required=True)
    options = [connection_options()]
    listing = actions.add_parser("list", help="list them, oldest first", parents=options)
    listing.add_argument("--limit", type=int, default=50, help="at most so many (default: %(default)s)")
    listing.add_argument("--start", type=int, default=1, metavar="NUMBER", help="from this number on")
    listing.set_defaults(run=list_letters)
    showing = actions.add_parser("show", help="show one with its payload, prompts included", parents=options)
    showing.add_argument("number", type=int)
    showing.set_defaults(run=show)
    retrying = actions.add_parser(
        "retry",
        help="send it again, as a new request",
        description="Each runs as a new request under the id that is printed; `tokenbus watch` shows its answer. One "
        "whose request has ended is refused, since its sender was told, unless --again is given.",
        parents=options,
    )
    retrying.add_argument("number", type=int, nargs="+")
    retrying.add_argument("--again", action="store_true", help="also where the request has ended")
    retrying.set_defaults(run=retry)
    dropping = actions.add_parser("drop", help="delete them", parents=options)
    dropping.add_argument("number", type=int, nargs="+")
    dropping.set_defaults(run=drop)


async def list_letters(args: argparse.Namespace) -> int:
    if args.limit < 1 or args.start < 1:
        raise UsageError("--limit and --start must be 1 or more")
    async with _store(args) as store:
        letters, following = await store.page(start=args.start, limit=args.limit)
    now = time.time()
    if args.json:
        listed = [letter.to_json(now=now) for letter in letters]
        sys.stdout.write(json.dumps({"letters": listed, "next": following}) + "\n")
        return 0
    for letter in letters:
        sys.stdout.write(f"{_told(letter, now=now)}\n")
    if following is not None:
        sys.stdout.write(f"more: tokenbus dead list --start {following}\n")
    return 0


async def show(args: argparse.Namespace) -> int:
    async with _store(args) as store:
        letter = await store.letter(args.number)
    payload = letter.stored.data.decode(errors="backslashreplace")
    if args.json:
        known = {**letter.to_json(now=time.time()), "headers": dict(letter.stored.headers), "payload": payload}
        sys.stdout.write(json.dumps(known) + "\n")
        return 0
    sys.stdout.write(f"{_told(letter, now=time.time())}\n")
    for name, value in letter.stored.headers.items():
        sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.write(f"\n{payload}\n")
    return 0


async def retry(args: argparse.Namespace) -> int:
    async with _store(args) as store:
        for number in args.number:
            request_id = await store.retry(number, even_if_ended=args.again)
            known = {"number": number, "request_id": request_id}
            sys.stdout.write(f"{json.dumps(known) if args.json else f'{number} runs as {request_id}'}\n")
    return 0


async def drop(args: argparse.Namespace) -> int:
    async with _store(args) as store:
        for number in args.number:
            await store.drop(number)
            sys.stdout.write(f"{json.dumps({'number': number}) if args.json else f'{number} is dropped'}\n")
    return 0


@asynccontextmanager
async def _store(args: argparse.Namespace) -> "AsyncGenerator[DeadStore]":
    from tokenbus_router.dead_store import DeadStore

    login = Login(credentials_file=args.credentials)
    async with Bus.connect(args.server, name="tokenbus dead", login=login) as bus:
        try:
            yield DeadStore(bus, root=args.root)
        except NoStreamError as error:
            raise UsageError(
                f"no Tokenbus with root {args.root} has run here, or this account does not reach its streams"
            ) from error


def _told(letter: "DeadLetter", *, now: float) -> str:
    age_s = max(0.0, now - letter.stored.timestamp_s)
    size = len(letter.stored.data)
    return (
        f"{letter.number:>6}  {letter.kind:<8}  {age_s:>8.0f} s ago  {size:>8} bytes  {letter.origin}  {letter.reason}"
    )
