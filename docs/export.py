"""Write docs/settings.md from the settings classes: `python docs/export.py [--check]`.

`--check` writes nothing and exits 1 where the file differs.
"""

import sys
from pathlib import Path
from typing import Final

from tokenbus_chassis.settings import ServiceSettings, settings_table
from tokenbus_executor.settings import ExecutorSettings
from tokenbus_router.settings import RouterSettings

FILE: Final = Path(__file__).with_name("settings.md")

_INTRO: Final = """# Settings

Every setting is an environment variable, read once when a service starts. Provider keys are no settings: the catalog
names their variables, and only executors read those. This page is made from the code (`make schemas`).
"""


def document() -> str:
    """The whole page."""
    sections = [_INTRO, f"## Every service\n\n{settings_table(ServiceSettings)}"]
    common = set(settings_table(ServiceSettings).splitlines())
    for title, settings in (("Router", RouterSettings), ("Executor", ExecutorSettings)):
        rows = settings_table(settings).splitlines()
        own = rows[:2] + [row for row in rows[2:] if row not in common]
        sections.append(f"## {title}\n\n" + "\n".join(own) + "\n")
    return "\n".join(sections)


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 where `--check` found a difference."""
    text = document()
    if "--check" not in arguments:
        FILE.write_text(text)
        return 0
    if FILE.exists() and FILE.read_text() == text:
        return 0
    sys.stderr.write("docs/settings.md differs from the settings classes: run `make schemas`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
