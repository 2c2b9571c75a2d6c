"""Settings of the router."""

from pathlib import Path

from pydantic import Field, field_validator

from tokenbus_chassis.settings import ServiceSettings
from tokenbus_router.places import Places, parse_places
from tokenbus_schemas import MAX_REQUEST_BYTES
from tokenbus_schemas.headers import MAX_TIMEOUT_S


class RouterSettings(ServiceSettings):
    """What every service has, and the router's own."""

    catalog: Path | None = Field(default=None, description="Catalog file (YAML); unset: the one that ships with it.")
    catalog_poll_s: float = Field(
        default=1.0, gt=0, le=3600, description="How often the catalog file is looked at; a change is taken at once."
    )
    topology_check_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How often streams and consumers are compared with what they should be, and put right.",
    )
    request_timeout_s: float = Field(
        default=600.0, gt=0, le=MAX_TIMEOUT_S, description="Time of a request that names none, queueing included."
    )
    tenant_places: str = Field(
        default="",
        description="Tenants that may have less unfinished work than TOKENBUS_TENANT_MAX_WORK, such as "
        "`trial=5, acme=50`; `*=200` is all others.",
    )
    request_max_bytes: int = Field(
        default=MAX_REQUEST_BYTES,
        gt=0,
        description="Largest request; above the bus's max_payload it comes in pieces.",
    )
    large_slots: int = Field(
        default=4,
        gt=0,
        description="Requests over the bus's max_payload that one router works on at once; each takes several times "
        "its size in memory.",
    )
    router_slots: int = Field(default=256, gt=0, description="Requests that one router works on at once.")
    store_responses: bool = Field(
        default=True,
        description="Whether responses are stored to be read and continued later; false: as if every request said "
        "`store` false.",
    )

    @field_validator("tenant_places")
    @classmethod
    def _check_places(cls, value: str) -> str:
        parse_places(value)
        return value

    def places(self) -> Places:
        """How much unfinished work a tenant may have in one queue."""
        return Places(self.tenant_max_work, parse_places(self.tenant_places))
