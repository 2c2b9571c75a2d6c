"""`tokenbus keys create`: a new API key for the gateway."""

import argparse
from pathlib import Path
from typing import Final

from tokenbus.command import Subcommands, UsageError
from tokenbus_schemas import DEFAULT_TENANT, PRIORITY_CLASSES

_ABOUT: Final = """\
Make an API key for the gateway. Its hash goes into the file of keys; the key itself is shown once and kept nowhere.
A running gateway takes it within a second or two (TOKENBUS_GATEWAY_KEYS_FILE names its file)."""


def register(subcommands: Subcommands) -> None:
    """Adds `keys`."""
    parser = subcommands.add_parser("keys", help="make API keys for the gateway")
    actions = parser.add_subparsers(metavar="action", required=True)
    create = actions.add_parser("create", help="make one", description=_ABOUT)
    create.add_argument("--file", type=Path, required=True, help="the file of keys; made if it does not exist")
    create.add_argument("--name", help="whose key it is, for people")
    create.add_argument("--tenant", default=DEFAULT_TENANT, help="the tenant its requests belong to")
    create.add_argument("--model", action="append", help="pattern of a model ID it may use, repeatable; default: all")
    create.add_argument(
        "--class",
        dest="priority_class",
        choices=PRIORITY_CLASSES,
        default="standard",
        help="of its requests",
    )
    create.add_argument("--requests-per-minute", type=int, help="limit in each gateway process")
    create.add_argument("--tokens-per-minute", type=int, help="limit in each gateway process")
    create.add_argument("--concurrent-requests", type=int, help="limit in each gateway process")
    create.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the row, then shows the key."""
    # Imported here: this module is loaded at every start of `tokenbus`.
    from tokenbus_gateway.access.access_file import AccessFileError
    from tokenbus_gateway.access.access_file_edit import add_key
    from tokenbus_gateway.access.api_keys import mint_key

    minted = mint_key()
    names = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
    limits = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    entry: dict[str, object] = {"id": minted.key_id, "hash": minted.hash}
    wanted = {"name": args.name, "models": args.model, "limits": limits}
    entry |= {name: value for name, value in wanted.items() if value}
    entry |= {"tenant": args.tenant, "class": args.priority_class}
    try:
        add_key(args.file, entry)
    except AccessFileError as error:
        raise UsageError(str(error)) from error
    print(minted.text)
    return 0
