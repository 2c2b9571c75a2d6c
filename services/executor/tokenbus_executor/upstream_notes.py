"""Under which id a provider keeps an answer that runs in the background: noted before any event of it is published.

An attempt has one note, that of its last such call. A later attempt goes on from the newest note; see `background.py`.
"""

import logging
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tokenbus.bus import Bus, StreamSpec
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_schemas import RequestId, Target, Tenant

_log = logging.getLogger(__name__)

_MARGIN_S: Final = 60.0
"""How much longer than its request a note is kept."""
_TTL_HEADER: Final = "Nats-TTL"
_KEY: Final = "upstream"


class UpstreamNote(BaseModel):
    """One call, and which events of it went where."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    attempt: int = Field(ge=1, description="Who wrote it.")
    target: Target = Field(description="Who keeps the answer.")
    upstream_id: str = Field(description="Under which id; empty: the call was given up.")
    begin: int = Field(ge=0, description="Output items before those of the call.")
    started: bool = Field(description="Whether the response had begun before the call.")
    minted_by: int = Field(ge=1, description="The attempt whose ids its items have: that which made the call.")
    first: int = Field(ge=0, description="The sequence number under which this attempt publishes its first of them.")
    skipped: int = Field(ge=0, description="How many events of the call earlier attempts had published.")
    after: int = Field(ge=-1, description="The sequence number of the last one of these; -1: of none.")


class UpstreamNotes:
    """Reads and writes them, under `<tenant>.<request>.upstream.<attempt>` in the bucket of checkpoints."""

    def __init__(self, bus: Bus, *, stream: StreamSpec) -> None:
        """`stream`: the one that is the bucket."""
        self._bus = bus
        self._stream = stream.name
        self._subject = stream.subjects[0].removesuffix(">")

    async def keep(self, note: UpstreamNote, *, tenant: Tenant, request_id: RequestId, ttl_s: float) -> bool:
        """Whether it is written: else nobody can go on with this call. `ttl_s`: the request's time."""
        subject = f"{self._prefix(tenant, request_id)}.{note.attempt}"
        headers = {_TTL_HEADER: f"{int(max(0.0, ttl_s) + _MARGIN_S)}s"}
        try:
            await self._bus.publish_stored(subject, note.model_dump_json().encode(), headers=headers)
        except BusError as error:
            _log.warning("no note was written", extra={"request_id": request_id, "error": error_site(error)})
            return False
        return True

    async def newest(self, tenant: Tenant, request_id: RequestId) -> UpstreamNote | None:
        """The latest attempt's, unless it gave its call up. Raises `BusError`."""
        found: list[UpstreamNote] = []
        page = await self._bus.read_stored(self._stream, f"{self._prefix(tenant, request_id)}.*")
        for message in page.messages:
            try:
                found.append(UpstreamNote.model_validate_json(message.data))
            except ValidationError:
                _log.error("a note can not be read", extra={"request_id": request_id})
        newest = max(found, key=lambda note: note.attempt, default=None)
        return newest if newest is not None and newest.upstream_id else None

    def _prefix(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self._subject}{tenant}.{request_id}.{_KEY}"
