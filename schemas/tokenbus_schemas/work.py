"""What the router hands an executor: one validated, routed request."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.requests import Api, Recovery
from tokenbus_schemas.subjects import TOKEN_PATTERN, PriorityClass

Token = Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")]

_FROZEN = ConfigDict(frozen=True, extra="ignore")


class Target(BaseModel):
    """Where a request may be answered: provider, its name of the model, API mode, and the pool that serves it."""

    model_config = _FROZEN

    provider: Token = Field(description="Provider name, as in the catalog.")
    model: str = Field(description="The provider's own name of the model.")
    api: Api = Field(description="Which of the provider's APIs to call.")
    pool: Token = Field(description="The work queue whose executors serve this target.")


class WorkOrder(BaseModel):
    """The payload of a WORK message. The request id, channel and tenant were checked; the request is normalised to
    Open Responses plus chat-only parameters."""

    model_config = _FROZEN

    version: Literal[1] = Field(1, description="Version of this shape.")
    request_id: Token = Field(description="Chosen by the client.")
    tenant: Token = Field(description="Whose request it is.")
    channel: Token = Field(description="Where its live events go.")
    priority_class: PriorityClass = Field(description="The class it was sent in.")
    accepted_at: float = Field(description="The broker's timestamp of the request, Unix seconds.")
    deadline: float = Field(description="When the request expires, Unix seconds.")
    hop: int = Field(1, ge=1, description="1 for the first pool; one more each time the work moves to another pool.")
    attempt_base: int = Field(0, ge=0, description="Attempts that earlier hops used.")
    model: str = Field(description="The model ID the client asked for.")
    request: dict[str, Any] = Field(description="Normalised request body, without `model` and `tokenbus`.")
    targets: list[Target] = Field(min_length=1, description="In the order in which to try them.")
    recovery: Recovery = Field("fail", description="What happens when the answer breaks after its first event.")


class ProviderRow(BaseModel):
    """What executors know of a provider; the router publishes it in the catalog bucket. It names keys, holds none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Token = Field(description="Provider name, as in targets.")
    base_url: str = Field(description="Where its API is, with the version path.")
    base_url_env: str | None = Field(None, description="Environment variable that replaces base_url, if set.")
    api_key_env: str | None = Field(None, description="Environment variable that holds the key; None: it needs none.")
    pool: Token = Field(description="The work queue whose executors serve it.")
    apis: tuple[Api, ...] = Field(("responses", "chat_completions"), description="Which APIs it has, preferred first.")


class ProviderTable(BaseModel):
    """All provider rows: the value of key `providers` in the catalog bucket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: list[ProviderRow]
