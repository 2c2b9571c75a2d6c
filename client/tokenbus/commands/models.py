"""`tokenbus models`: which model IDs a request may name."""

import argparse
import json
import sys

from tokenbus.command import Subcommands, connected, connection_options


def register(subcommands: Subcommands) -> None:
    """Adds `models`."""
    about = "List the model IDs of the catalog with their providers, in the order in which they are tried."
    parser = subcommands.add_parser("models", help="list the models", description=about, parents=[connection_options()])
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    async with connected(args) as client:
        models = await client.models()
    if args.json:
        sys.stdout.write(json.dumps([model.model_dump() for model in models]) + "\n")
        return 0
    width = max((len(model.id) for model in models), default=0)
    for model in models:
        sys.stdout.write(f"{model.id:<{width}}  {', '.join(model.providers)}\n")
    return 0
