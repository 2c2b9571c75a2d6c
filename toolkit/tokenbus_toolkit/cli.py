"""`tokenbus tools`: which tools are served, by whom, how they fare; asked of the services themselves."""

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import ValidationError

from tokenbus.bus import Bus, Login
from tokenbus.command import Subcommands, UsageError, connection_options
from tokenbus.gathering import gather
from tokenbus.service_api import EndpointStats, ServiceStats
from tokenbus.tool_discovery import ServedTool, discover
from tokenbus_schemas import InvalidTokenError, Subjects

FAILED: Final = 1
_HEADINGS: Final = ("NAME", "SCOPE", "VERSION", "SERVICE", "HOSTS", "CALLS", "ERRORS", "MEAN MS", "HEALTH")


def register(subcommands: Subcommands) -> None:
    """Adds `tools`."""
    about = "List the tools that are served right now, with their hosts and how their calls went since those started."
    parser = subcommands.add_parser("tools", help="list the tools", description=about, parents=[connection_options()])
    parser.add_argument("name", nargs="?", help="show this tool's description and the schema of its arguments")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Exit code 1 for a name that nobody serves."""
    try:
        subjects = Subjects(args.root)
        login = Login(credentials_file=args.credentials)
        async with Bus.connect(args.server, name="tokenbus-tools", login=login) as bus:
            tools, stats = await discover(bus, subjects), await _stats(bus)
    except (InvalidTokenError, ValueError) as error:
        raise UsageError(str(error)) from error
    if args.name is not None:
        tools = [tool for tool in tools if tool.description.name == args.name]
    if args.json:
        print(json.dumps([_as_json(tool, stats.get(tool.subject, [])) for tool in tools]))
    elif args.name is None:
        print(_table([_HEADINGS, *(_row(tool, stats.get(tool.subject, [])) for tool in tools)]))
    else:
        for tool in tools:
            print(_details(tool))
    return FAILED if args.name is not None and not tools else 0


async def _stats(bus: Bus) -> dict[str, list[EndpointStats]]:
    """Of every host, by subject."""
    found: dict[str, list[EndpointStats]] = {}
    for answer in await gather(bus, "$SRV.STATS"):
        try:
            service = ServiceStats.model_validate_json(answer)
        except ValidationError:
            continue  # a service of somebody else's
        for endpoint in service.endpoints:
            found.setdefault(endpoint.subject, []).append(endpoint)
    return found


def _row(tool: ServedTool, stats: Sequence[EndpointStats]) -> tuple[str, ...]:
    calls = sum(host.num_requests for host in stats)
    nanoseconds = sum(host.processing_time for host in stats)
    return (
        tool.description.name,
        tool.description.scope,
        _joined(offer.description.version for offer in tool.offers),
        _joined(offer.service for offer in tool.offers),
        str(len(tool.offers)),
        str(calls),
        str(sum(host.num_errors for host in stats)),
        f"{nanoseconds / calls / 1e6:.1f}" if calls else "-",
        health(tool, stats),
    )


def health(tool: ServedTool, stats: Sequence[EndpointStats]) -> str:
    """In a word or a few."""
    ignored = sum(host.data.ignored_stops for host in stats if host.data is not None)
    waiting = sum(host.data.waiting for host in stats if host.data is not None)
    problems = [
        "hosts differ" if tool.in_conflict else "",
        "no answer" if not stats else "",
        f"{waiting} waiting" if waiting else "",
        f"{ignored} ignored stop" if ignored else "",
    ]
    return ", ".join(problem for problem in problems if problem) or "ok"


def _details(tool: ServedTool) -> str:
    description = tool.description
    facts = [
        f"subject     {tool.subject}",
        f"version     {_joined(offer.description.version for offer in tool.offers)}",
        f"hosts       {_joined(f'{offer.service} {offer.instance}' for offer in tool.offers)}",
        f"timeout     {description.timeout_s:g} s",
        f"idempotent  {'yes' if description.idempotent else 'no'}",
        f"strict      {'yes' if description.strict else 'no'}",
    ]
    if tool.in_conflict:
        facts.append("conflict    its hosts do not agree on the schema; the newest version's is shown")
    return "\n".join([*facts, "", description.description, "", json.dumps(description.parameters, indent=2), ""])


def _as_json(tool: ServedTool, stats: Sequence[EndpointStats]) -> dict[str, object]:
    return {
        "subject": tool.subject,
        "in_conflict": tool.in_conflict,
        "health": health(tool, stats),
        "hosts": [
            {"service": offer.service, "instance": offer.instance, **offer.description.model_dump()}
            for offer in tool.offers
        ],
        "stats": [host.model_dump() for host in stats],
    }


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
