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


def gateway_settings(port: int | None) -> Mapping[str, str]:
    """`port` -1: a free one; None: what the environment says, else 8080."""
    return {} if port is None else {"TOKENBUS_GATEWAY_PORT": str(max(0, port))}


def local_services(
    *,
    plain: Mapping[str, str],
    with_keys: Mapping[str, str],
    tools: Mapping[str, str],
    gateway: Mapping[str, str] | None,
    executors: int,
) -> tuple[LocalService, ...]:
    """`plain`: the environment of a service; `with_keys`: that of an executor, which alone sees provider keys; `tools`:
    what the tools service serves; `gateway`: settings of a gateway, None: there is none."""
    bare = {name: value for name, value in plain.items() if name not in TOOLS_SETTINGS}
    return (
        LocalService("router", "tokenbus_router", plain),
        LocalService("tools", "tokenbus_tools", {**bare, **tools}),
        *(LocalService(f"executor-{number}", "tokenbus_executor", with_keys) for number in range(1, executors + 1)),
        *([] if gateway is None else [LocalService("gateway", "tokenbus_gateway", {**plain, **gateway})]),
    )
