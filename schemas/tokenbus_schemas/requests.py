"""A chat request as it arrives: an Open Responses create body, chat-only parameters, chat spellings, and `tokenbus`.

Only the outer shape is checked here: names, types and ranges of top-level fields. Items, messages and tools are the
provider's language and pass as they are; translation checks what it has to understand. What a given model takes is the
router's knowledge, not the contract's.

Sources: Open Responses 2026-04-24 `CreateResponseBody`; OpenAI's Chat Completions reference (2026-08-21).
"""

import re
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tokenbus_schemas.errors import ErrorCode, RequestError

Api = Literal["responses", "chat_completions"]
ApiChoice = Literal["auto", "responses", "chat_completions"]
Recovery = Literal["resume", "restart", "fail"]

JsonObject = dict[str, Any]

LOGPROBS: Final = "message.output_text.logprobs"
"""The entry of `include` that asks for log probabilities."""

MAX_DEPTH: Final = 100
"""Levels of objects and lists in a parameter. Whoever carries a request inside something else has a limit of its own:
orjson writes 254 levels, pydantic reads 200."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True)


TokenId = Annotated[str, Field(pattern="^[0-9]{1,10}$")]
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class TokenbusOptions(BaseModel):
    """What the bus adds to a request."""

    model_config = _STRICT

    provider: str | None = Field(None, description="Pin one provider of the model; no other is tried.")
    api: ApiChoice = Field("auto", description="The provider's API to use; auto lets the router choose.")
    recovery: Recovery | None = Field(
        None,
        description="What happens when the answer breaks after its first event. restart: it is said anew, behind an "
        "event that voids what was said (`tokenbus:response.rewound`); what tools did stays. resume: the provider "
        "keeps it in the background, where it can, and it goes on exactly. fail: it ends as failed, and keeps what "
        "came, as every answer does that can not be recovered. Default: resume for a background request, else fail.",
    )
    on_unsupported: Literal["error", "drop"] = Field(
        "error", description="A parameter the model does not take: refuse the request, or drop it and report that."
    )
    max_tool_rounds: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None,
        description="How many rounds of function tools may run before a last answer without tools; 0: none is run, "
        "every function call is the caller's.",
    )


class ChatRequest(BaseModel):
    """The payload of a chat-request event. Exactly one of `input` and `messages` is given."""

    model_config = _STRICT

    model: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Model ID, e.g. openai/gpt-4.1-mini."
    )
    input: str | list[JsonObject] | None = Field(None, description="Text, or Open Responses input items.")
    messages: list[JsonObject] | None = Field(None, description="Chat Completions messages, instead of input.")
    instructions: str | None = Field(None, description="The first system message.")
    previous_response_id: str | None = Field(None, description="Continue a stored response of the same tenant.")

    tools: list[JsonObject] | None = Field(None, description="Function tools and provider tools.")
    tool_choice: str | JsonObject | None = Field(None, description="auto, none, required, or one named tool.")
    parallel_tool_calls: bool | None = Field(None, description="Whether one round may hold several calls.")
    max_tool_calls: Annotated[int, Field(ge=1)] | None = Field(None, description="Provider tool calls in one response.")
    functions: list[JsonObject] | None = Field(None, description="Deprecated chat spelling of tools.")
    function_call: str | JsonObject | None = Field(None, description="Deprecated chat spelling of tool_choice.")
    web_search_options: JsonObject | None = Field(None, description="Chat spelling of the web_search tool.")

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="Sampling temperature, 0 to 2.")
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Nucleus sampling, 0 to 1.")
    max_output_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Limit, reasoning included.")
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Chat name of the same.")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Legacy chat name of the same.")
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(None, description="Chat only, -2 to 2.")
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(None, description="Chat only, -2 to 2.")
    seed: int | None = Field(None, description="Chat only: best-effort determinism.")
    stop: str | Annotated[list[str], Field(min_length=1, max_length=4)] | None = Field(
        None, description="Chat only: up to 4 stop sequences."
    )
    n: Annotated[int, Field(ge=1, le=128)] | None = Field(None, description="Chat only: number of choices.")
    logit_bias: dict[TokenId, Annotated[int, Field(ge=-100, le=100)]] | None = Field(
        None, description="Chat only: token id to bias, -100 to 100."
    )
    logprobs: bool | None = Field(None, description="Chat spelling: log probabilities of output tokens.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="0 to 20 alternatives per token; needs logprobs."
    )
    prediction: JsonObject | None = Field(None, description="Chat only: predicted output.")
    modalities: list[str] | None = Field(None, description="Chat only: output modalities.")
    audio: JsonObject | None = Field(None, description="Chat only: audio output.")

    text: JsonObject | None = Field(None, description="Output format and verbosity.")
    response_format: JsonObject | None = Field(None, description="Chat spelling of text.format.")
    verbosity: str | None = Field(None, description="Chat spelling of text.verbosity.")
    reasoning: JsonObject | None = Field(None, description="Reasoning effort and summary.")
    reasoning_effort: str | None = Field(None, description="Chat spelling of reasoning.effort.")
    include: list[str] | None = Field(None, description="Further output data to include.")
    truncation: Literal["auto", "disabled"] | None = Field(None, description="Whether old input may be dropped.")

    store: bool | None = Field(None, description="Whether the response may be kept.")
    background: bool | None = Field(None, description="Run detached from the caller.")
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = Field(
        None, description="Up to 16 strings of at most 512 characters, by keys of at most 64."
    )
    service_tier: str | None = Field(None, description="The provider's service tier.")
    safety_identifier: Annotated[str, Field(max_length=64)] | None = Field(None, description="Stable end-user id.")
    user: str | None = Field(None, description="Older name of safety_identifier and prompt_cache_key.")
    prompt_cache_key: Annotated[str, Field(max_length=64)] | None = Field(None, description="Prompt cache bucket.")
    prompt_cache_retention: str | None = Field(None, description="How long the prompt cache is kept.")
    prompt_cache_options: JsonObject | None = Field(None, description="Prompt cache settings.")
    stream: bool | None = Field(None, description="Accepted and without effect: answers on the bus always stream.")
    stream_options: JsonObject | None = Field(None, description="Accepted and without effect, like stream.")

    tokenbus: TokenbusOptions = Field(TokenbusOptions.model_construct(), description="What the bus adds.")


def check_request(body: object) -> ChatRequest:
    """The request in `body` (parsed JSON), checked.

    Raises `RequestError` whose `param` is the path of the first wrong field and whose message says what to send.
    """
    if not isinstance(body, dict):
        raise RequestError(
            ErrorCode.INVALID_JSON, "the payload must be a JSON object: a chat request with `model` and `input`"
        )
    fields = cast("dict[str, object]", body)
    if _is_too_deep(fields, levels=MAX_DEPTH + 1):
        name = next(name for name, value in fields.items() if _is_too_deep(value, levels=MAX_DEPTH))
        raise RequestError(
            ErrorCode.INVALID_VALUE,
            f"{name[:80]}: is nested too deeply; send at most {MAX_DEPTH} levels",
            param=name[:80],
        )
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        raise first_problem(error) from error
    if request.input is None and request.messages is None:
        raise RequestError(
            ErrorCode.MISSING_PARAMETER, "input: is missing; send `input` (text or items) or `messages`", param="input"
        )
    if request.input is not None and request.messages is not None:
        raise RequestError(
            ErrorCode.INVALID_REQUEST,
            "messages: `input` is given too; send one of `input` and `messages`",
            param="messages",
        )
    name = "input" if request.messages is None else "messages"
    if not (request.input or request.messages):
        raise RequestError(ErrorCode.INVALID_VALUE, f"{name}: is empty; send at least one message", param=name)
    if request.top_logprobs and not (request.logprobs or LOGPROBS in (request.include or ())):
        raise RequestError(
            ErrorCode.INVALID_REQUEST,
            f"top_logprobs: has no effect without log probabilities; send `logprobs` true, or `include` {LOGPROBS}",
            param="top_logprobs",
        )
    if request.logprobs is False and LOGPROBS in (request.include or ()):
        raise RequestError(
            ErrorCode.INVALID_REQUEST,
            f"logprobs: contradicts {LOGPROBS} in `include`; send one of them",
            param="logprobs",
        )
    return request


def _is_too_deep(value: object, *, levels: int) -> bool:
    level: list[object] = [value]
    for _ in range(levels + 1):
        inner: list[object] = []
        for node in level:
            if isinstance(node, dict):
                inner += cast("dict[str, object]", node).values()
            elif isinstance(node, list):
                inner += cast("list[object]", node)
        if not inner:
            return False
        level = inner
    return True


def field_path(location: tuple[int | str, ...]) -> str:
    """`("input", 2, "content")` → `input[2].content`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


_CODES: Final = {"extra_forbidden": ErrorCode.UNKNOWN_PARAMETER, "missing": ErrorCode.MISSING_PARAMETER}
_KINDS: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_MAX_PATH: Final = 120
"""Characters of a path that an error repeats: callers choose the names of unknown fields."""
_SUBJECT_OF_MESSAGE: Final = re.compile(r"^[A-Z]\w+ should")
_JSON_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a number"),
    (list, "a list"),
    (dict, "an object"),
)


def first_problem(error: ValidationError) -> RequestError:
    """The first problem of a failed validation as a `RequestError` with the field's path. Values are never quoted."""
    problems = error.errors(include_url=False)
    # The branches of a union report one by one; the deepest got furthest into what the caller meant.
    top = problems[0]["loc"][:1]
    same_field = [problem for problem in problems if problem["loc"][:1] == top]
    depth = max(len(_fields(problem)) for problem in same_field)
    deepest = [problem for problem in same_field if len(_fields(problem)) == depth]
    path = field_path(_fields(deepest[0]))[:_MAX_PATH] or "payload"
    code = _CODES.get(deepest[0]["type"], ErrorCode.INVALID_VALUE)
    if code is ErrorCode.UNKNOWN_PARAMETER:
        problem_text = "is no known parameter; remove it or correct its name"
    elif code is ErrorCode.MISSING_PARAMETER:
        problem_text = "is missing; send it"
    elif deepest[0]["type"] == "string_pattern_mismatch":
        problem_text = "must be a token id: 1 to 10 digits"
    elif all(problem["type"] in _KINDS for problem in deepest):
        wanted = " or ".join(dict.fromkeys(_KINDS[problem["type"]] for problem in deepest))
        problem_text = f"must be {wanted}, not {_json_name(deepest[0]['input'])}"
    else:
        problem_text = _SUBJECT_OF_MESSAGE.sub("must", deepest[-1]["msg"], count=1).replace(" after validation", "")
    return RequestError(code, f"{path}: {problem_text}", param=path)


def _fields(problem: ErrorDetails) -> tuple[int | str, ...]:
    """The location without the names of union branches and marks of keys, which pydantic puts among the fields."""
    return tuple(
        part for place, part in enumerate(problem["loc"]) if isinstance(part, int) or place == 0 or _is_field(part)
    )


def _is_field(part: str) -> bool:
    return not any(mark in part for mark in "[](),") and part not in {"str", "int", "float", "bool", "dict", "list"}


def _json_name(value: object) -> str:
    return next((name for kind, name in _JSON_NAMES if isinstance(value, kind)), "null")
