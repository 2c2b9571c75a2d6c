"""What a later attempt needs to go on with a conversation: a checkpoint for each round, written before its calls go.

A checkpoint holds what is new since the one before: the outputs of that round and what the model said in this one. The
first to write a round's checkpoint has said what its calls are; whoever comes second gets that one. So two attempts
never send different calls under the same keys.

A request can go on without: its tools take effect at most once all the same, which the hosts' journal sees to, but no
later attempt can continue where it was.
"""

import logging
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tokenbus.bus import Bus, StreamSpec
from tokenbus.error_site import error_site
from tokenbus.errors import BusError, WrongLastSequenceError
from tokenbus_schemas import RequestId, Target, Tenant

_log = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
"""How long a write is tried: an election of the stream's leader takes less."""
_MARGIN_S: Final = 60.0
"""How much longer than its request a checkpoint is kept."""
_TTL_HEADER: Final = "Nats-TTL"

Json = dict[str, Any]


class Checkpoint(BaseModel):
    """One round, as it stood when its calls were about to be sent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    attempt: int = Field(ge=1, description="Who wrote it.")
    round: int = Field(ge=0, description="From 0.")
    published: int = Field(ge=0, description="Events with lower sequence numbers were handed to the bus before.")
    target: Target = Field(description="Which target answered.")
    outputs: list[Json] = Field(description="The output items of the round before, in order.")
    said: list[Json] = Field(description="The items of this round, its calls among them, in order.")
    usage: Json | None = Field(description="Of all rounds so far.")
    tools: list[Json] = Field(default=[], description="The request's tools, as they were defined for this request.")


class Checkpoints:
    """Reads and writes them, under `<tenant>.<request>.<round>` in a bucket."""

    def __init__(self, bus: Bus, *, stream: StreamSpec) -> None:
        """`stream`: the one that is the bucket."""
        self._bus = bus
        self._stream = stream.name
        self._subject = stream.subjects[0].removesuffix(">")

    async def keep(self, checkpoint: Checkpoint, *, tenant: Tenant, request_id: RequestId, ttl_s: float) -> Checkpoint:
        """Write it; what holds for this round now: this one, or another that was first. `ttl_s`: the request's time.

        One that can not be written is logged, and holds all the same.
        """
        subject = f"{self._prefix(tenant, request_id)}.{checkpoint.round}"
        extra = {"request_id": request_id, "round": checkpoint.round}
        try:
            await self._bus.publish_stored(
                subject,
                checkpoint.model_dump_json().encode(),
                headers={_TTL_HEADER: f"{int(max(0.0, ttl_s) + _MARGIN_S)}s"},
                expected_last_subject_sequence=0,
                retry_for_s=_RETRY_S,
            )
        except WrongLastSequenceError:
            return await self._first(subject) or checkpoint
        except BusError as error:  # too large, or no stream to be had
            _log.warning("no checkpoint was written", extra={**extra, "error": error_site(error)})
        return checkpoint

    async def read(self, tenant: Tenant, request_id: RequestId) -> list[Checkpoint]:
        """All of a request, in order; empty where one is missing or can not be read. Raises `BusError`."""
        found: list[Checkpoint] = []
        start = 1
        while True:
            page = await self._bus.read_stored(
                self._stream, f"{self._prefix(tenant, request_id)}.*", start_sequence=start
            )
            try:
                found += [Checkpoint.model_validate_json(message.data) for message in page.messages]
            except ValidationError as error:
                problems = [problem["loc"] for problem in error.errors(include_input=False)]
                _log.error("a checkpoint can not be read", extra={"request_id": request_id, "places": problems})
                return []
            if not page.remaining or not page.messages:
                break
            start = page.next_sequence
        whole = [checkpoint.round for checkpoint in found] == list(range(len(found)))
        return found if whole else []

    async def _first(self, subject: str) -> Checkpoint | None:
        stored = await self._bus.last_message_at_leader(self._stream, subject)
        return None if stored is None else Checkpoint.model_validate_json(stored.data)

    def _prefix(self, tenant: Tenant, request_id: RequestId) -> str:
        return f"{self._subject}{tenant}.{request_id}"
