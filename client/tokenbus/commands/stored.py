"""`tokenbus get` and `tokenbus delete`: stored responses by their id, from any machine."""

import argparse
import json
import sys

from tokenbus.command import Subcommands, connected, connection_options
from tokenbus.commands.show import exit_code
from tokenbus.errors import ResponseFailedError
from tokenbus_schemas import Response


def register_get(subcommands: Subcommands) -> None:
    """Adds `get`."""
    about = "Show a stored response as it stands: queued, in progress or ended."
    parser = subcommands.add_parser(
        "get", help="show a stored response by its id", description=about, parents=[connection_options()]
    )
    parser.add_argument("response_id")
    parser.set_defaults(run=get)


def register_delete(subcommands: Subcommands) -> None:
    """Adds `delete`."""
    about = "Delete a stored response, its input and its events; one that runs is cancelled first."
    parser = subcommands.add_parser(
        "delete", help="delete a stored response by its id", description=about, parents=[connection_options()]
    )
    parser.add_argument("response_id")
    parser.set_defaults(run=delete)


async def get(args: argparse.Namespace) -> int:
    async with connected(args) as client:
        response = await client.retrieve(args.response_id)
    if args.json:
        sys.stdout.write(response.model_dump_json() + "\n")
        return 0
    return _show(response)


async def delete(args: argparse.Namespace) -> int:
    async with connected(args) as client:
        await client.delete(args.response_id)
    said = json.dumps({"id": args.response_id, "deleted": True}) if args.json else f"{args.response_id} is deleted"
    sys.stdout.write(said + "\n")
    return 0


def _show(response: Response) -> int:
    if response.status in ("queued", "in_progress"):
        sys.stdout.write(f"{response.id} is {response.status}\n")
        return 0
    if response.output_text:
        sys.stdout.write(response.output_text + "\n")
    if response.status == "failed":
        raise ResponseFailedError(response)
    return exit_code(response)
