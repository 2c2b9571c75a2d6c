"""A tool whose effect is a line in a file, so that whoever counts the lines sees each effect, whoever died since.

For the tools service, as a process: EFFECTS in its environment names the file.
"""

import os
from collections import Counter
from pathlib import Path

from tokenbus_toolkit import ToolContext, tool

MODULE = "tests.e2e.counting_tools"


@tool
def count_once(context: ToolContext) -> str:
    """Takes effect; must not do so twice for one call."""
    with Path(os.environ["EFFECTS"]).open("a") as file:
        file.write(f"{context.key}\n")
    return "counted"


def effects(path: Path) -> Counter[str]:
    """How often each call took effect, by its key: tenant, request, round and place."""
    return Counter(path.read_text().split()) if path.exists() else Counter()
