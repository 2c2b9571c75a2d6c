"""`tokenbus providers`: who is called, and which of their models are failing."""

import argparse
import json
import sys
import time

from tokenbus.bus import Bus, Login
from tokenbus.command import Subcommands, UsageError, connection_options
from tokenbus.errors import NoStreamError
from tokenbus.provider_states import ProviderState, provider_states
from tokenbus_schemas import CoolDown


def register(subcommands: Subcommands) -> None:
    """Adds `providers`."""
    about = "List the providers of the catalog, and their models that failed: how often, and until when they rest."
    parser = subcommands.add_parser(
        "providers", help="list the providers and how they do", description=about, parents=[connection_options()]
    )
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    login = Login(credentials_file=args.credentials)
    async with Bus.connect(args.server, name="tokenbus providers", login=login) as bus:
        try:
            states = await provider_states(bus, root=args.root)
        except NoStreamError as error:
            raise UsageError(
                f"no Tokenbus with root {args.root} has run here, or this account does not reach its buckets"
            ) from error
    now = time.time()
    if args.json:
        sys.stdout.write(json.dumps([_as_json(state, now=now) for state in states]) + "\n")
        return 0
    width = max((len(state.row.name) for state in states), default=0)
    for state in states:
        sys.stdout.write(f"{state.row.name:<{width}}  pool {state.row.pool}  {', '.join(state.row.apis)}\n")
        for failed in state.failed:
            sys.stdout.write(f"{'':<{width}}  {_told(failed, now=now)}\n")
    return 0


def _as_json(state: ProviderState, *, now: float) -> dict[str, object]:
    row = state.row
    targets = [{**failed.model_dump(), "state": failed.standing(now=now).state} for failed in state.failed]
    return {"name": row.name, "pool": row.pool, "apis": row.apis, "base_url": row.base_url, "failed_targets": targets}


def _told(failed: CoolDown, *, now: float) -> str:
    standing = failed.standing(now=now)
    state = {
        "ready": "takes requests",
        "cooling": f"cooling down for {standing.until - now:.0f} s more",
        "half_open": "waits for a request to try it",
        "probing": "a request tries it",
        "probation": "a request tries it and gets answers",
    }[standing.state]
    times = "once" if failed.failures == 1 else f"{failed.failures} times in a row"
    ago_s = max(0.0, now - failed.failed_at)
    return f"{failed.model} ({failed.api}): {state}; failed {times}, {ago_s:.0f} s ago with {failed.code}"
