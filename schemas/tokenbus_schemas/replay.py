"""The replay service: stored events of one request after a sequence number, over request/reply."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ReplayMode = Literal["events", "snapshot"]
ReplayState = Literal["unknown", "queued", "streaming", "ended"]


class ReplayRequest(BaseModel):
    """The payload of a request to `<root>.replay.<tenant>.<request>`; an empty payload means everything."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    after: Annotated[int, Field(ge=-1)] = Field(
        default=-1, description="Only events with a greater sequence number; -1: all."
    )
    mode: ReplayMode = Field(
        default="events",
        description="snapshot: a running answer so far in one tokenbus:response.snapshot event; what follows it has to "
        "be asked for with its sequence number. An answer that has ended is its terminal event. Where there is nothing "
        "to sum up, or too much for one reply, the page is as in mode events.",
    )
    limit: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1_000, description="At most about this many events a page."
    )


class ReplayPage(BaseModel):
    """The reply. `more` true: ask again with `after` = the last sequence number of this page."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: ReplayState = Field(
        description="unknown: no trace of such a request; queued: no event yet; streaming; "
        "ended: the terminal event exists."
    )
    more: bool = Field(default=False, description="Further stored events follow this page.")
    events: list[dict[str, Any]] = Field(description="Whole events, in order; the terminal one last, when it exists.")
    error: dict[str, Any] | None = Field(
        default=None, description="Set when the call itself was wrong: code, message, param."
    )
