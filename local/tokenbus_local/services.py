"""The services of a local Tokenbus, a row each: they start together, and stop in the opposite order."""

from collections.abc import Mapping
from typing import Final, NamedTuple

TOOLS_SETTINGS: Final = ("TOKENBUS_TOOLS_MODULES", "TOKENBUS_TOOLS_FILE")
EXAMPLE_TOOLS: Final[Mapping[str, str]] = {"TOKENBUS_TOOLS_MODULES": "tokenbus_local.example_tools"}


class LocalService(NamedTuple):
    """A process to run as `python -m module`."""

    name: str
    module: str
    environment: Mapping[str, str]


def tools_settings(environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the environment says that the tools service serves; where it says nothing, the example tools."""
    return {name: value for name in TOOLS_SETTINGS if (value := environment.get(name))} or EXAMPLE_TOOLS


def local_services(
    *, plain: Mapping[str, str], with_keys: Mapping[str, str], tools: Mapping[str, str], executors: int
) -> tuple[LocalService, ...]:
    """`plain`: the environment of a service; `with_keys`: that of an executor, which alone sees provider keys; `tools`:
    what the tools service serves."""
    bare = {name: value for name, value in plain.items() if name not in TOOLS_SETTINGS}
    return (
        LocalService("router", "tokenbus_router", plain),
        LocalService("tools", "tokenbus_tools", {**bare, **tools}),
        *(LocalService(f"executor-{number}", "tokenbus_executor", with_keys) for number in range(1, executors + 1)),
    )
