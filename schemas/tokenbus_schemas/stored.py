"""What the router keeps of a request, in the bucket `responses` under `<tenant>.<request>`. Services only.

The answer is not in it: RESULTS has that. The two together are a stored response, which can be read, listed, continued
by `previous_response_id`, and deleted. Of a request with `store` false there is no record.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StoredRequest(BaseModel):
    """A record. It is written once, and goes by its age, with the bucket's oldest, or when the response is deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel: str = Field(description="Where the live events go.")
    model: str = Field(description="The model ID the client asked for.")
    accepted_at: float = Field(description="The broker's timestamp of the request, Unix seconds.")
    announced: int = Field(
        default=0, ge=0, description="Events that the router published at admission: those of a background request."
    )
    before: list[str] = Field(
        default=[], description="Request ids of the responses that it continues, the oldest first."
    )
    input: list[dict[str, Any]] = Field(default=[], description="Its own input items, without what it repeated.")
    request: dict[str, Any] = Field(default={}, description="The normalised request, without its input.")
