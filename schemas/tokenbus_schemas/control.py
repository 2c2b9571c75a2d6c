"""The control service: cancel a request by its id, from any process, over request/reply."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

STOP_DEADLINE: Final = b"deadline"
"""A stop message that stops nothing: whoever runs the request answers, and ends it by its own clock."""

CancelStatus = Literal["cancelled", "cancelling", "ended", "unknown"]


class ControlRequest(BaseModel):
    """The payload of a request to `<root>.control.<tenant>.<request>`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    action: Literal["cancel"] = Field(description="What to do.")


class ControlReply(BaseModel):
    """The reply; an `error` object (code, message, param) instead of a status when the call itself was wrong."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: CancelStatus | None = Field(
        None,
        description="cancelled: it has ended so; cancelling: its executor was told; ended: it had ended before; "
        "unknown: no trace of such a request, a mark is kept in case it still arrives.",
    )
    error: dict[str, Any] | None = None


class StopReply(BaseModel):
    """An executor's answer to a stop message: it runs the request and is closing it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stopping: Literal[True] = True


class ModelList(BaseModel):
    """The reply of `<root>.models.<tenant>`: every model ID of the catalog with its providers in order."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    class Model(BaseModel):
        id: str
        providers: list[str]

    models: list[Model]


class CatalogReport(BaseModel):
    """A router's reply on `<root>.catalog`: the catalog it uses. Every router answers; services and operators only."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    router: str = Field(description="Which router says so: its host and process.")
    source: str = Field(description="The file that it watches, or the default catalog.")
    since: float = Field(description="When it began to use this catalog, Unix seconds.")
    problems: list[str] = Field(
        default=[], description="What is wrong with the file as it is now; until it is mended, an older one is used."
    )
    catalog: dict[str, Any] = Field(description="The catalog, with everything that it takes over written out.")
