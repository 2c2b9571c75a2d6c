"""How a target that failed stands, shared by all executors: one entry for each in bucket `<root>_cooldown`.

A target without an entry works. Entries expire by themselves some time after they have lost their meaning.
"""

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.requests import Api

TargetState = Literal["ready", "cooling", "half_open", "probing", "probation"]
"""`ready`: takes requests. `cooling`: takes none. `half_open`: takes one, to try it. `probing`: that one is under way.
`probation`: that one has seen a first event; others may follow where they have no better choice."""


class Standing(NamedTuple):
    """What an entry means at a given time. `until`: when that ends by itself, Unix seconds; 0 where it does not."""

    state: TargetState
    until: float


READY: Final = Standing("ready", 0.0)


class CoolDown(BaseModel):
    """The failures of a target since it last answered, and what follows from them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = Field(default=1, description="Version of this shape.")
    provider: str = Field(description="Provider name.")
    model: str = Field(description="The provider's own name of the model.")
    api: Api = Field(description="Which of the provider's APIs.")
    code: str = Field(description="Error code of the last failure.")
    failures: int = Field(ge=1, description="Requests that failed in a row.")
    opened: int = Field(default=0, ge=0, description="How often in a row it was sent to cool down.")
    failed_at: float = Field(description="When it last failed, Unix seconds.")
    until: float = Field(default=0.0, description="Until when it takes no requests, Unix seconds; 0: it takes them.")
    probe: str | None = Field(default=None, description="Which request is trying it after that time.")
    probe_until: float = Field(default=0.0, description="Until when that request is waited for, Unix seconds.")
    shows_life: bool = Field(default=False, description="Whether that request has seen a first event.")

    def standing(self, *, now: float) -> Standing:
        """How the target stands at `now`, Unix seconds."""
        if self.until <= 0:
            return READY
        if self.until > now:
            return Standing("cooling", self.until)
        if self.probe_until > now:
            return Standing("probation" if self.shows_life else "probing", self.probe_until)
        return Standing("half_open", 0.0)


@lru_cache(maxsize=4096)
def cooldown_key(provider: str, *, api: Api, model: str) -> str:
    """The entry's key: names as they are, with `=2E` and the like for what a key can not hold."""
    return f"{provider}.{api}.{''.join(map(_escaped, model)) or '='}"


def _escaped(character: str) -> str:
    if character.isascii() and (character.isalnum() or character in "-_/"):
        return character
    return "".join(f"={byte:02X}" for byte in character.encode())
