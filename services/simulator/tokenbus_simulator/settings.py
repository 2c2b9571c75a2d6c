"""Settings of the simulator as a process, read once in `__main__`."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tokenbus_simulator.script import ScriptError, parse_script


class Settings(BaseSettings):
    """Command line first (`--port 8000`), then the environment (`TOKENBUS_SIMULATOR_PORT=8000`)."""

    model_config = SettingsConfigDict(
        env_prefix="TOKENBUS_SIMULATOR_", frozen=True, cli_prog_name="tokenbus-simulator", cli_kebab_case=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    script: str = Field(default="", description="How to answer requests that carry no script: ttft=150;rate=60.")
    seed: str | None = Field(default=None, description="Makes ids the same on every run; random if not set.")
    record_size: int = Field(
        default=1000, ge=1, description="How many received requests are remembered, and responses kept."
    )
    max_body_mib: int = Field(default=64, ge=1, description="Largest request body, in MiB.")

    @field_validator("script")
    @classmethod
    def _script_is_readable(cls, script: str) -> str:
        try:
            parse_script(script)
        except ScriptError as error:
            raise ValueError(str(error)) from error
        return script
