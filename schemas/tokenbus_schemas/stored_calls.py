"""The service of stored responses, over request/reply: read one as it stands, list its input, delete it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ItemOrder = Literal["asc", "desc"]


class ResponseCall(BaseModel):
    """The payload of a request to `<root>.responses.<tenant>.<request>`; an empty payload means get."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    action: Literal["get", "delete", "input_items"] = Field(
        default="get",
        description="get: the response as it stands, queued, in progress or ended; delete: it, with its input and its "
        "events, a running one is cancelled first; input_items: what was said before the answer, the conversation that "
        "it continues included.",
    )
    limit: Annotated[int, Field(ge=1, le=100)] = Field(default=20, description="input_items: at most so many.")
    order: ItemOrder = Field(default="desc", description="input_items: desc begins with the newest.")
    after: str | None = Field(default=None, description="input_items: only what follows the item with this id.")
    include: list[str] = Field(
        default=[], description="input_items: `reasoning.encrypted_content` shows sealed reasoning, too."
    )


class ResponseReply(BaseModel):
    """The reply; one field besides `more` is set, by the action."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    response: dict[str, Any] | None = Field(default=None, description="The response resource.")
    deleted: bool | None = Field(default=None, description="True: nothing of it is left.")
    items: list[dict[str, Any]] | None = Field(default=None, description="Input items, each with an id.")
    more: bool = Field(default=False, description="Further items follow.")
    error: dict[str, Any] | None = Field(
        default=None,
        description="What is wrong: code, message, param, type. The type is response_not_found for whatever is not "
        "there, was never stored, or is another tenant's.",
    )
