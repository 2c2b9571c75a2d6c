"""The tools process: `tokenbus-tools`, or `python -m tokenbus_tools`."""

import logging
import os
import sys
from typing import Final

from tokenbus_chassis.run import run
from tokenbus_chassis.settings import read_settings
from tokenbus_toolkit import ToolDefinitionError
from tokenbus_tools.app import serving_tools
from tokenbus_tools.errors import ToolsError
from tokenbus_tools.modules import tools_of
from tokenbus_tools.settings import ToolsSettings
from tokenbus_tools.tools_file import read_tools_file

NOTHING_TO_SERVE: Final = 2
"""Exit code: a module or the tools file can not be used; what is wrong stands on standard error."""


def main() -> int:
    """Run until a signal; the exit code."""
    settings = read_settings(ToolsSettings)
    try:
        tools = tools_of(settings.modules())
        file = read_tools_file(settings.tools_text(), environment=os.environ)
    except (ToolsError, ToolDefinitionError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"the tools can not be served:\n{error}\n")
        return NOTHING_TO_SERVE
    # Their lines name URLs and quote messages; what matters of them our own lines say.
    for library in ("httpx2", "mcp"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return run("tools", lambda bus: serving_tools(bus, settings=settings, tools=tools, file=file), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
