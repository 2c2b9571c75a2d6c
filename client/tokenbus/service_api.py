"""NATS's service API on the wire: how a service answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.

Source: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md (read 2026-11-20). The `nats`
command lists such services with `nats micro list`, `info` and `stats`.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Verb = Literal["PING", "INFO", "STATS"]

VERBS: Final[tuple[Verb, ...]] = ("PING", "INFO", "STATS")
ERROR_HEADER: Final = "Nats-Service-Error"
ERROR_CODE_HEADER: Final = "Nats-Service-Error-Code"

_FROZEN: Final = ConfigDict(frozen=True, extra="ignore")


class ServiceIdentity(BaseModel):
    """What every answer begins with."""

    model_config = _FROZEN

    name: str = Field(description="The kind of service; replicas share it.")
    id: str = Field(description="This instance.")
    version: str = Field(description="Semantic.")
    metadata: dict[str, str] = {}


class ServicePing(ServiceIdentity):
    """Answers `$SRV.PING`."""

    type: Literal["io.nats.micro.v1.ping_response"] = "io.nats.micro.v1.ping_response"


class EndpointInfo(BaseModel):
    """One subject that a service serves."""

    model_config = _FROZEN

    name: str
    subject: str
    queue_group: str = ""
    metadata: dict[str, str] = {}


class ServiceInfo(ServiceIdentity):
    """Answers `$SRV.INFO`."""

    type: Literal["io.nats.micro.v1.info_response"] = "io.nats.micro.v1.info_response"
    description: str = ""
    endpoints: list[EndpointInfo] = []


class EndpointData(BaseModel):
    """What our hosts add to the statistics of a tool. Absent for other services."""

    model_config = _FROZEN

    running: int = Field(0, description="Runs in flight, those included that ignore that they were stopped.")
    waiting: int = Field(0, description="Calls that wait for a slot.")
    ignored_stops: int = Field(0, description="Runs that went on after they were told to stop.")


class EndpointStats(BaseModel):
    """Counts since `ServiceStats.started`; times in nanoseconds."""

    model_config = _FROZEN

    name: str
    subject: str
    queue_group: str = ""
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0
    average_processing_time: int = 0
    data: EndpointData | None = None


class ServiceStats(ServiceIdentity):
    """Answers `$SRV.STATS`."""

    type: Literal["io.nats.micro.v1.stats_response"] = "io.nats.micro.v1.stats_response"
    started: str = Field(description="ISO 8601, UTC.")
    endpoints: list[EndpointStats] = []


def service_subjects(verb: Verb, *, name: str, instance: str) -> tuple[str, str, str]:
    """What an instance listens on: asked of all, of all of its name, of it alone."""
    return f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.{instance}"
