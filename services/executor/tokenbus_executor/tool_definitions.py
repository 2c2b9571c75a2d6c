"""Tools that a request names without defining them get their definition from the service that offers them."""

import asyncio
from collections.abc import Mapping
from typing import Final

from tokenbus.tool_directory import ToolDirectory
from tokenbus_executor.function_tools import NamedTool, defined, not_offered, undefined
from tokenbus_schemas.subjects import Scope, Subjects, Tenant, ToolName
from tokenbus_schemas.tools import SHARED_SCOPE, ToolDescription

_PATIENCE_S: Final = 3.0
"""How long a tool that nobody seems to offer is asked for."""
_PAUSE_S: Final = 1.0


def tool_scopes(tenant: Tenant) -> tuple[Scope, ...]:
    """Where a tenant's calls may go, in order: its own tools hide shared ones of the same name."""
    return tuple(dict.fromkeys((Scope(tenant), Scope(SHARED_SCOPE))))


class ToolDefinitions:
    """Looks tools up in the directory of what is served."""

    def __init__(self, directory: ToolDirectory, *, subjects: Subjects) -> None:
        self._directory = directory
        self._subjects = subjects

    async def complete(self, request: Mapping[str, object], *, tenant: Tenant) -> Mapping[str, object]:
        """The request with every function tool defined; itself where all are.

        Raises `RequestError`, naming the first tool that nobody defines, and `BusError`.
        """
        found: dict[int, ToolDescription] = {}
        for tool in undefined(request):
            description = await self._find(tool, tenant=tenant) if tool.servable else None
            if description is None:
                raise not_offered(tool)
            found[tool.index] = description
        return defined(request, found) if found else request

    async def _find(self, tool: NamedTool, *, tenant: Tenant) -> ToolDescription | None:
        subjects = [self._subjects.tool(scope, ToolName(tool.name)) for scope in tool_scopes(tenant)]
        served = {offered.subject: offered.description for offered in await self._directory.all()}
        for subject in subjects:
            if subject in served:
                return served[subject]
        # Not as of late: `find` asks the services again, so that one which has just started counts, and one that is too
        # busy to answer in the half second that a question takes. The refusal is for good, so it is not hurried.
        until = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            for subject in subjects:
                if (offered := await self._directory.find(subject)) is not None:
                    return offered.description
            if asyncio.get_running_loop().time() >= until:
                return None
            await asyncio.sleep(_PAUSE_S)
