"""A note of every admitted request, so that a queued one can be told from one that never came.

Written without waiting for the server, in the same breath as the work and before it: it costs no round trip. Should the
server lose it, a cancel or a replay of a request that no executor has begun answers `unknown`; nothing else is lost.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tokenbus.bus import Bus
from tokenbus_router.unanswered import Asked
from tokenbus_schemas import Channel, RequestId, Tenant


class Admission(BaseModel):
    """The value in the bucket `responses` under `<tenant>.<request>`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["queued"] = "queued"
    channel: str
    model: str
    accepted_at: float


class Admissions:
    """The notes, in one bucket."""

    def __init__(self, bus: Bus, *, bucket: str) -> None:
        self._bus = bus
        self._bucket: Final = bucket

    async def note(self, asked: Asked) -> None:
        """Send the note; it is stored a moment later. Raises what `Bus.publish` raises."""
        admission = Admission(channel=asked.channel, model=asked.model, accepted_at=asked.accepted_at)
        # A bucket takes plain messages on its subjects; `kv_put` would wait for the acknowledgement.
        subject = f"$KV.{self._bucket}.{_key(asked.tenant, asked.request_id)}"
        await self._bus.publish(subject, admission.model_dump_json().encode())

    async def find(self, tenant: Tenant, request_id: RequestId) -> Asked | None:
        """What was admitted under this id, or None. Raises `BusError`."""
        entry = await self._bus.kv_get(self._bucket, _key(tenant, request_id))
        if entry is None:
            return None
        try:
            admission = Admission.model_validate_json(entry.value)
        except ValidationError:
            return None
        return Asked(tenant, request_id, Channel(admission.channel), admission.model, admission.accepted_at)


def _key(tenant: Tenant, request_id: RequestId) -> str:
    return f"{tenant}.{request_id}"
