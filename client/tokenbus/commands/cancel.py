"""`tokenbus cancel`: end a request by its id, from any machine."""

import argparse
import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tokenbus.command import Subcommands, connected, connection_options
from tokenbus_schemas.control import CancelStatus

MEANINGS: Final[Mapping[CancelStatus, str]] = MappingProxyType(
    {
        "cancelled": "is cancelled",
        "cancelling": "is being cancelled",
        "ended": "had ended before",
        "unknown": "is not known; if it still arrives, it is cancelled",
    }
)
UNKNOWN: Final = 5


def register(subcommands: Subcommands) -> None:
    """Adds `cancel`."""
    about = "Cancel a request in every phase; the provider's connection is closed."
    parser = subcommands.add_parser(
        "cancel", help="cancel a request by its id", description=about, parents=[connection_options()]
    )
    parser.add_argument("request_id")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    async with connected(args) as client:
        status = await client.cancel(args.request_id)
    if args.json:
        sys.stdout.write(json.dumps({"request_id": args.request_id, "status": status}) + "\n")
    else:
        sys.stdout.write(f"{args.request_id} {MEANINGS[status]}\n")
    return UNKNOWN if status == "unknown" else 0
