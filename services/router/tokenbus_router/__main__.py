"""The router process: `tokenbus-router`, or `python -m tokenbus_router`."""

import sys
from typing import Final

from tokenbus_chassis.run import run
from tokenbus_chassis.settings import read_settings
from tokenbus_router.app import routing
from tokenbus_router.catalog_file import CatalogFile
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError
from tokenbus_router.settings import RouterSettings

BAD_CATALOG: Final = 2
"""Exit code: the catalog can not be read or used; what is wrong stands on standard error."""


def main() -> int:
    """Run until a signal; the exit code."""
    settings = read_settings(RouterSettings)
    file = CatalogFile(settings.catalog)
    try:
        catalog = load_catalog(file.text())
    except CatalogError as error:
        sys.stderr.write(f"{file.name} can not be used:\n{error}\n")
        return BAD_CATALOG
    return run("router", lambda bus: routing(bus, settings=settings, catalog=catalog, file=file), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
