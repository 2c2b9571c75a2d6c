"""What the journal holds of a call, and what an entry means for a host that is handed the call. Pure.

Rules, from which follows that a call takes effect at most once:

- A host runs a call only while it holds the *claim*: an entry that it alone could create. It renews the claim while
  the tool runs and replaces it by the result; each write names the revision that it replaces, so of two hosts that
  believe in themselves one fails.
- A claim that nobody has renewed for a whole lease, watched by one observer on its own clock, belongs to a dead runner.
  Then the observer may claim the call anew if it is idempotent, both by the dead runner's word and by its own. Else it
  writes the result `unknown`, which is as final as any other.
- A result is never replaced.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tokenbus_schemas.tools import ToolCall, ToolResult

_FROZEN: Final = ConfigDict(frozen=True, extra="ignore")


class ClaimEntry(BaseModel):
    """Somebody runs the call, or died over it."""

    model_config = _FROZEN

    state: Literal["claimed"] = "claimed"
    claim: str = Field(description="Random: who wrote this entry, and for which delivery.")
    runner: str = Field(description="The host, for people who look.")
    digest: str = Field(description="What was called: `call_digest`.")
    idempotent: bool


class ResultEntry(BaseModel):
    """The call has ended."""

    model_config = _FROZEN

    state: Literal["ended"] = "ended"
    claim: str
    digest: str
    result: ToolResult


Entry = Annotated[ClaimEntry | ResultEntry, Field(discriminator="state")]
_ENTRY: Final[TypeAdapter[ClaimEntry | ResultEntry]] = TypeAdapter(Entry)


def read_entry(value: bytes) -> ClaimEntry | ResultEntry:
    """Raises pydantic's `ValidationError` for what is no entry."""
    return _ENTRY.validate_json(value)


def call_digest(call: ToolCall) -> str:
    """The same for two deliveries of one call; so that one key never answers for another call."""
    return hashlib.blake2b(json.dumps([call.name, call.arguments]).encode(), digest_size=16).hexdigest()


Standing = Literal["mine", "ended", "other call", "running"]


def standing(entry: ClaimEntry | ResultEntry, *, claim: str, digest: str) -> Standing:
    """What a host that wants to run a call under `claim` finds."""
    if entry.digest != digest:
        return "other call"
    if isinstance(entry, ResultEntry):
        return "ended"
    return "mine" if entry.claim == claim else "running"


@dataclass(slots=True)
class LeaseWatch:
    """One observer's view of a claim that it does not hold."""

    lease_s: float
    revision: int = -1
    since: float = 0.0

    def expired(self, revision: int, *, now: float) -> bool:
        """Whether `revision` has stood still for a whole lease; `now` on the observer's own clock."""
        if revision != self.revision:
            self.revision, self.since = revision, now
        return now - self.since >= self.lease_s
