"""Function tool calls: from an executor to whichever service hosts the tool, over request/reply.

A call goes to `<root>.tools.<scope>.<tool>`; its reply subject gets any number of `running` and `progress` messages and
one `result`. Nobody listening is known at once (no responders). A caller that hears nothing for `SILENCE_LIMIT_S` sends
the same call again: hosts journal calls under `key`, so a repeated call gets the stored output and no second effect.

A message on `<root>.tool_cancel.<key>`, with any payload, stops that call wherever it runs: its result has the outcome
`cancelled`, unless it had ended before.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.subjects import TOKEN_PATTERN

Token = Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")]
ToolOutput = str | list[dict[str, Any]]
"""Text, or Responses content parts (input_text, input_image, input_file) where the tool returns images or files."""

SHARED_SCOPE: Final = "shared"
RUNNING_INTERVAL_S: Final = 2.0
"""How often a host says that a call still runs."""
SILENCE_LIMIT_S: Final = 5.0
"""A host that was silent for so long is taken for dead."""

Outcome = Literal["ok", "error", "invalid_arguments", "timeout", "cancelled", "unknown"]

_FROZEN = ConfigDict(frozen=True, extra="ignore")


class ToolCall(BaseModel):
    """One call of one function tool."""

    model_config = _FROZEN

    version: Literal[1] = 1
    tenant: Token = Field(description="Whose request it is.")
    request_id: Token = Field(description="The request in which the model called.")
    round: int = Field(ge=0, description="Which round of the tool loop, from 0.")
    index: int = Field(ge=0, description="Which call of the round, from 0.")
    call_id: str = Field(description="The model's own id of the call.")
    name: str = Field(description="The function's name, as the model knows it.")
    arguments: str = Field(description="JSON text, exactly as the model wrote it.")
    deadline: float = Field(description="When the request expires, Unix seconds.")

    @property
    def key(self) -> str:
        """The idempotency key: the same for every delivery of this call, whatever executor or attempt sends it."""
        return f"{self.tenant}.{self.request_id}.{self.round}.{self.index}"


class ToolRunning(BaseModel):
    """The call was taken and runs."""

    model_config = _FROZEN

    type: Literal["running"] = "running"


class ToolProgress(BaseModel):
    """What a running tool wants readers to know."""

    model_config = _FROZEN

    type: Literal["progress"] = "progress"
    message: str | None = Field(default=None, description="Free text.")
    fraction: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, description="How much is done, 0 to 1.")


class ToolResult(BaseModel):
    """The end of a call."""

    model_config = _FROZEN

    type: Literal["result"] = "result"
    output: ToolOutput = Field(description="What the model reads; for errors, a sentence it can act on.")
    outcome: Outcome = Field(
        description="ok; error: the tool raised; invalid_arguments; timeout; cancelled; unknown: the runner died "
        "and the tool is not idempotent, so it was not run again and nobody knows whether it took effect."
    )
    replayed: bool = Field(default=False, description="The stored output of an earlier delivery.")


class ToolDescription(BaseModel):
    """What a host says of a tool in the metadata of its service endpoint (`$SRV.INFO`)."""

    model_config = _FROZEN

    name: str
    scope: Token = SHARED_SCOPE
    description: str = ""
    parameters: dict[str, Any] = Field(description="JSON Schema of the arguments object.")
    strict: bool = Field(default=False, description="The schema keeps to the strict subset.")
    version: str = Field(default="0.0.0", description="The tool's own version, semantic.")
    idempotent: bool = Field(default=False, description="Running it twice has the effect of running it once.")
    timeout_s: float = Field(default=60.0, description="How long one run may take.")
