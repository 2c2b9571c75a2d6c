"""The response resource as a reader sees it: the object in lifecycle events, built once per answer."""

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.subjects import InvalidTokenError, RequestId
from tokenbus_schemas.subjects import request_id as checked_request_id

_ID_PREFIX: Final = "resp_"

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


def response_id(request_id: RequestId) -> str:
    """The id of a request's response: known before the request is sent, the same on every attempt."""
    return f"{_ID_PREFIX}{request_id}"


def parse_response_id(text: str) -> RequestId:
    """The request whose response has this id. Raises `InvalidTokenError` for what is no response id."""
    if not text.startswith(_ID_PREFIX):
        raise InvalidTokenError("response id", text)
    return checked_request_id(text.removeprefix(_ID_PREFIX))


class InputTokensDetails(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    reasoning_tokens: int = 0


class Usage(BaseModel):
    """Tokens, as the provider counted them; summed over the rounds of one response."""

    model_config = ConfigDict(extra="allow", frozen=True)

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class ResponseErrorInfo(BaseModel):
    """`type` is the Tokenbus error code; `code` is the nearest of OpenAI's closed list. `retry_after`: in seconds."""

    model_config = ConfigDict(extra="allow", frozen=True)

    code: str
    message: str
    param: str | None = None
    type: str | None = None
    retry_after: float | None = None


class Response(BaseModel):
    """A response resource; fields that are not named here stay reachable in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    status: ResponseStatus
    model: str
    output: list[dict[str, Any]] = Field(description="Output items, in order, as the provider shaped them.")
    usage: Usage | None = None
    error: ResponseErrorInfo | None = None
    incomplete_details: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    tokenbus: dict[str, Any] = Field(
        default_factory=dict,
        description="Which target answered, and on which attempt. `functions`: names of the functions that may be run "
        "on the bus; a call of one is the client's only if the ended response has no output of it.",
    )

    @property
    def output_text(self) -> str:
        """All text of all message items, joined; empty when there is none."""
        return "".join(
            str(part.get("text", ""))
            for item in self.output
            if item.get("type") == "message"
            for part in _parts(item)
            if part.get("type") == "output_text"
        )


def _parts(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    content: object = item.get("content")
    return cast("list[dict[str, Any]]", content) if isinstance(content, list) else []
