"""`tokenbus config`: check a catalog file, print its JSON Schema, show the catalog that is in use."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokenbus.bus import Bus, Login
from tokenbus.command import Subcommands, connection_options
from tokenbus.errors import NoRouterError, TokenbusError
from tokenbus.gathering import gather
from tokenbus_schemas import CatalogReport, Subjects

if TYPE_CHECKING:
    from tokenbus_router.catalog import Catalog

BROKEN: Final = 1
"""Exit code: the file, or that of a router, can not be used."""


class UnusableCatalogError(TokenbusError):
    """The catalog file can not be used; the text lists every problem."""


def config(subcommands: Subcommands) -> None:
    """Adds `config`."""
    about = "Check a catalog file, print the JSON Schema of such files, or show the catalog that the routers use."
    parser = subcommands.add_parser("config", help="check and show catalogs", description=about)
    actions = parser.add_subparsers(metavar="action", required=True)
    file_help = "catalog file (default: the one that ships with the router)"
    checking = actions.add_parser("check", help="say what is wrong with a file, with path and line")
    checking.add_argument("file", nargs="?", type=Path, help=file_help)
    checking.set_defaults(run=check)
    schema = actions.add_parser("schema", help="print the JSON Schema, for editors")
    schema.set_defaults(run=print_schema)
    showing = actions.add_parser(
        "show",
        help="show the catalog in use, or what a file comes to",
        description="Without a file: what the running routers use, and what is wrong with their files as they are now.",
        parents=[connection_options()],
    )
    showing.add_argument("file", nargs="?", type=Path, help="show this file with all that it takes over")
    showing.set_defaults(run=show)


def check(args: argparse.Namespace) -> int:
    catalog = _load(args.file)
    counted = f"{len(catalog.providers)} providers, {len(catalog.models)} models and patterns"
    sys.stdout.write(f"{_name(args.file)} is good: {counted}, {len(catalog.rules)} rules\n")
    return 0


def print_schema(_: argparse.Namespace) -> int:
    from tokenbus_router.catalog import schema_text

    sys.stdout.write(schema_text())
    return 0


async def show(args: argparse.Namespace) -> int:
    if args.file is not None:
        written = _load(args.file).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        sys.stdout.write(json.dumps(written, indent=2) + "\n" if args.json else _yaml(written))
        return 0
    reports = await _reports(args)
    if args.json:
        sys.stdout.write(json.dumps([report.model_dump(mode="json") for report in reports], indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_told(report) for report in reports))
    return BROKEN if any(report.problems for report in reports) else 0


async def _reports(args: argparse.Namespace) -> list[CatalogReport]:
    """Of all routers. Raises `NoRouterError` where there is none."""
    subject = Subjects(args.root).catalog()
    async with Bus.connect(args.server, name="tokenbus config", login=Login(credentials_file=args.credentials)) as bus:
        answers = await gather(bus, subject)
    if not answers:
        raise NoRouterError(subject)
    return sorted((CatalogReport.model_validate_json(answer) for answer in answers), key=lambda report: report.router)


def _told(report: CatalogReport) -> str:
    since = datetime.fromtimestamp(report.since, UTC).isoformat(timespec="seconds")
    lines = [f"# router {report.router}: {report.source}, in use since {since}"]
    if report.problems:
        lines.append("# the file as it is now can not be used, so this is an older one:")
        lines += [f"#   {problem}" for problem in report.problems]
    return "\n".join([*lines, _yaml(report.catalog)])


def _load(file: Path | None) -> "Catalog":
    """Raises `UnusableCatalogError`."""
    from tokenbus_router.catalog_file import CatalogFile
    from tokenbus_router.catalog_load import load_catalog
    from tokenbus_router.errors import CatalogError

    try:
        return load_catalog(CatalogFile(file).text())
    except CatalogError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        raise UnusableCatalogError(f"{_name(file)} can not be used:\n{listed}") from error


def _name(file: Path | None) -> str:
    return "the default catalog" if file is None else str(file)


def _yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
