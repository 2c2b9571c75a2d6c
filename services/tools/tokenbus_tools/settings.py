"""Settings of the tools service."""

from pathlib import Path

from pydantic import Field

from tokenbus_chassis.settings import ServiceSettings
from tokenbus_schemas.subjects import TOKEN_PATTERN


class ToolsSettings(ServiceSettings):
    """What every service has, and the tools service's own."""

    tools_modules: str = Field(default="", description="Python modules whose tools are served, with commas between.")
    tools_file: Path | None = Field(
        default=None, description="YAML file with HTTP endpoints and MCP servers to serve as tools."
    )
    tools_service: str = Field(
        default="tools",
        pattern=f"^{TOKEN_PATTERN}$",
        description="Name of this service; replicas share it. Another service cannot take its tools' names.",
    )
    tools_version: str = Field(
        default="0.1.0", pattern=r"^\d+\.\d+\.\d+", description="Version of what is served, as discovery shows it."
    )
    tools_start_timeout_s: float = Field(
        default=15.0, gt=0, description="How long a start waits for MCP servers; then it goes on without those missing."
    )

    def modules(self) -> list[str]:
        """The modules' names."""
        return [name.strip() for name in self.tools_modules.split(",") if name.strip()]

    def tools_text(self) -> str:
        """The tools file's text; empty where there is none. Raises `OSError`."""
        return "" if self.tools_file is None else self.tools_file.read_text(encoding="utf-8")
