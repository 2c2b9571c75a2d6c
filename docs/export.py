"""Write what is made from the code: the pages of docs/, in whole or in part, and the catalog's JSON Schema, which ships
with the router: `python docs/export.py [--check]`.

`--check` writes nothing and exits 1 where a page differs. A part of a page stands between `<!-- name -->` and
`<!-- end -->`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokenbus_chassis.settings import ServiceSettings, settings_table
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_gateway.settings import GatewaySettings
from tokenbus_router.catalog import schema_text
from tokenbus_router.catalog_default import default_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.settings import RouterSettings
from tokenbus_router.tables import (
    budgets_table,
    models_table,
    parameters_table,
    providers_table,
    rules_table,
    tools_table,
)
from tokenbus_tools.settings import ToolsSettings

HERE: Final = Path(__file__).resolve().parent
SCHEMA: Final = HERE.parent / "services" / "router" / "tokenbus_router" / "catalog.schema.json"

_INTRO: Final = """# Settings

Every setting is an environment variable, read once when a service starts. Provider keys are no settings: the catalog
names their variables, and only executors read those. This page is made from the code (`make schemas`).
"""


def settings_page() -> str:
    """The whole page."""
    sections = [_INTRO, f"## Every service\n\n{settings_table(ServiceSettings)}"]
    common = set(settings_table(ServiceSettings).splitlines())
    services = (
        ("Router", RouterSettings),
        ("Executor", ExecutorSettings),
        ("Tools", ToolsSettings),
        ("Gateway", GatewaySettings),
    )
    for title, settings in services:
        rows = settings_table(settings).splitlines()
        own = rows[:2] + [row for row in rows[2:] if row not in common]
        sections.append(f"## {title}\n\n" + "\n".join(own) + "\n")
    return "\n".join(sections)


def tables() -> Mapping[str, str]:
    """The parts of pages, by name."""
    catalog = load_catalog(default_text())
    return {
        "models": models_table(catalog),
        "providers": providers_table(catalog),
        "rules": rules_table(catalog),
        "budgets": budgets_table(catalog),
        "parameters": parameters_table(),
        "tools": tools_table(),
    }


def filled(page: Path) -> str:
    """A page with its parts made anew. Raises `KeyError` for a part that does not exist."""
    parts = tables()

    def put(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]}{found[3]}"

    return re.sub(r"(<!-- ([a-z]+) -->)\n.*?(<!-- end -->)", put, page.read_text(), flags=re.DOTALL)


def pages() -> Mapping[Path, str]:
    """Every page, and the schema, with its text."""
    mixed = [HERE / "catalog.md", HERE / "parameters.md"]
    return {HERE / "settings.md": settings_page(), SCHEMA: schema_text(), **{page: filled(page) for page in mixed}}


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 where `--check` found a difference."""
    stale = {page: text for page, text in pages().items() if not page.exists() or page.read_text() != text}
    for page, text in stale.items():
        if "--check" in arguments:
            sys.stderr.write(f"{page.relative_to(HERE.parent)} differs from the code: run `make schemas`\n")
        else:
            page.write_text(text)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
