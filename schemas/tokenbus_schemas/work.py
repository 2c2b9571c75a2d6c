"""What the router hands an executor: one validated, routed request."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.requests import Api, Recovery
from tokenbus_schemas.subjects import TOKEN_PATTERN, PriorityClass

Token = Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Strategy = Literal["ordered", "weighted", "least_latency"]

ATTEMPTS_PER_HOP: Final = 100
"""Attempts of hop n are numbered from `(n - 1) * ATTEMPTS_PER_HOP + 1`, so those of a later hop are always higher: a
delivery that finds a higher hop's number knows that its work has moved on."""

WORK_OUTLIVES_S: Final = 60.0
"""How much longer than its request work is kept, where nobody fetches it."""

HOPS_PER_SUBMISSION: Final = 8
"""Work must not wander for ever. A request that is sent again under its id, since NATS has lost its store, begins with
a hop later than all before."""

PROVIDERS_KEY: Final = "providers"
"""Of the catalog bucket: its value is a `ProviderTable`."""

_FROZEN = ConfigDict(frozen=True, extra="ignore")


class Target(BaseModel):
    """Where a request may be answered: provider, its name of the model, API mode, and the pool that serves it."""

    model_config = _FROZEN

    provider: Token = Field(description="Provider name, as in the catalog.")
    model: str = Field(description="The provider's own name of the model.")
    api: Api = Field(description="Which of the provider's APIs to call.")
    pool: Token = Field(description="The work queue whose executors serve this target.")
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1.0, description="Strategy weighted: this target's share of the requests, relative to the others."
    )
    first_event_timeout_s: Seconds | None = Field(
        default=None,
        description="Seconds until its first useful event, for models that think in silence; null: the provider's.",
    )
    event_gap_timeout_s: Seconds | None = Field(
        default=None, description="Seconds between its useful events; null: the provider's."
    )


class Said(BaseModel):
    """Items of the input that a provider said in an earlier response, which this one continues."""

    model_config = _FROZEN

    provider: str = Field(description="Provider name, as in targets.")
    api: Api = Field(description="By which of its APIs.")
    first: int = Field(ge=0, description="Place of the first item in `request.input`.")
    count: int = Field(ge=0, description="How many items.")


class WorkOrder(BaseModel):
    """The payload of a WORK message. The request id, channel and tenant were checked; the request is normalised to
    Open Responses plus chat-only parameters."""

    model_config = _FROZEN

    version: Literal[1] = Field(default=1, description="Version of this shape.")
    request_id: Token = Field(description="Chosen by the client.")
    tenant: Token = Field(description="Whose request it is.")
    channel: Token = Field(description="Where its live events go.")
    priority_class: PriorityClass = Field(description="The class it was sent in.")
    accepted_at: float = Field(description="The broker's timestamp of the request, Unix seconds.")
    deadline: float = Field(description="When the request expires, Unix seconds.")
    hop: int = Field(
        default=1, ge=1, description="1 for the first pool; one more each time the work moves to another pool."
    )
    attempt_base: int = Field(default=0, ge=0, description="Attempts that earlier hops used.")
    model: str = Field(description="The model ID the client asked for.")
    request: dict[str, Any] = Field(description="Normalised request body, without `model` and `tokenbus`.")
    history: list[Said] = Field(
        default=[],
        description="Which items of `request.input` were said in earlier responses. Some of them only their provider "
        "can read: encrypted ones, and those of its own tools.",
    )
    published: int = Field(
        default=0,
        ge=0,
        description="Events that the router published at admission, `response.created` among them; the first attempt's "
        "numbers begin after these.",
    )
    dropped: list[str] = Field(
        default=[],
        description="Parameters that the targets do not take and that were left out, as the request asked for; named "
        "as it wrote them.",
    )
    targets: list[Target] = Field(min_length=1, description="In the order in which to try them.")
    strategy: Strategy = Field(
        default="ordered",
        description="ordered: as listed; weighted: by lot; least_latency: the soonest first event first.",
    )
    recovery: Recovery = Field(
        default="fail", description="What happens when the answer breaks after its first event, as in the request."
    )
    max_tool_rounds: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="How many rounds of function tools may run; 0: none is run; null: the executors' setting.",
    )


class ChatDialectRow(BaseModel):
    """How a provider's Chat Completions differ from OpenAI's; the fields of `tokenbus_translate.ChatDialect`."""

    model_config = _FROZEN

    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_completion_tokens", description="Its name of the limit of output tokens."
    )
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = Field(
        default=None,
        description="Where it wants the reasoning of earlier assistant messages; null: it must not be sent.",
    )
    developer_role: Literal["developer", "system"] = Field(
        default="developer", description="Its role of a developer message."
    )
    stream_options: dict[str, Any] = Field(
        default={"include_usage": True}, description="What is sent as stream_options; an empty object: it is left out."
    )


class ResponsesDialectRow(BaseModel):
    """How a provider's Responses API differs from OpenAI's; the fields of `tokenbus_translate.ResponsesDialect`."""

    model_config = _FROZEN

    chat_parameters: tuple[str, ...] = Field(default=(), description="Chat-only parameters that it takes all the same.")
    keeps_plain_reasoning: bool = Field(
        default=False, description="Whether it takes reasoning items whose text is open."
    )
    min_output_tokens: Annotated[int, Field(ge=1)] = Field(
        default=16, description="The least max_output_tokens that it takes."
    )
    background: bool = Field(
        default=False,
        description="Whether it runs responses in the background, streamed, and streams them again from their start: "
        "then a stream that breaks can be resumed.",
    )


class ProviderRow(BaseModel):
    """What executors know of a provider; the router publishes it in the catalog bucket. It names keys, holds none.

    Wherever an environment variable NAME is named, the executors' NAME counts, else the content of the file that their
    NAME_FILE names.
    """

    model_config = _FROZEN

    name: Token = Field(description="Provider name, as in targets.")
    kind: Literal["openai", "azure"] = Field(
        default="openai", description="Whose addresses and credentials it uses; compatible servers use OpenAI's."
    )
    base_url: str = Field(
        description="Where its API is, with the version path; azure: the resource's endpoint. Empty: only base_url_env "
        "knows."
    )
    base_url_env: str | None = Field(default=None, description="Environment variable that replaces base_url, if set.")
    api_version: str | None = Field(
        default=None, description="azure: the api-version of its dated API; null: its v1 API, which needs none."
    )
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the key; null: it needs none."
    )
    auth: Literal["bearer", "api-key"] | None = Field(
        default=None,
        description="How the key is sent: `Authorization: Bearer` or `api-key`; null: as is usual for the kind.",
    )
    headers: dict[str, str] = Field(
        default={}, description="Headers of every request, such as HTTP-Referer; no secrets."
    )
    header_env: dict[str, str] = Field(
        default={},
        description="Header to the environment variable that holds its value; left out where that is not set.",
    )
    query: dict[str, str] = Field(default={}, description="Query parameters of every request.")
    body: dict[str, Any] = Field(
        default={}, description="Fields of every request body, unless the request has them itself."
    )
    pool: Token = Field(description="The work queue whose executors serve it.")
    apis: tuple[Api, ...] = Field(
        default=("responses", "chat_completions"), description="Which APIs it has, preferred first."
    )
    chat: ChatDialectRow = Field(
        default=ChatDialectRow.model_construct(), description="Its dialect of Chat Completions."
    )
    responses: ResponsesDialectRow = Field(
        default=ResponsesDialectRow.model_construct(), description="Its dialect of the Responses API."
    )
    connect_timeout_s: Seconds | None = Field(
        default=None, description="Seconds to connect; null: the executors' setting."
    )
    first_event_timeout_s: Seconds | None = Field(
        default=None, description="Seconds to the first useful event; null: the executors' setting."
    )
    event_gap_timeout_s: Seconds | None = Field(
        default=None, description="Seconds between useful events; null: the executors' setting."
    )
    max_concurrent: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How many answers it may give at once, over all executors; null: no limit."
    )


class ProviderTable(BaseModel):
    """All provider rows: the value of key `providers` in the catalog bucket."""

    model_config = _FROZEN

    providers: list[ProviderRow]
