"""Every parameter of a chat request, as the rules of a catalog name it: one row each.

A row says where a request may hold the parameter, in Chat's or in Responses' words, which value says nothing, which API
alone has it, and how it is left out of a body that has been put into Responses' words. The names are those of Chat
Completions where it has one. Sources: the translator's tables of parameters, and those named there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from tokenbus_router import request_parts, turns
from tokenbus_schemas.requests import LOGPROBS, Api, ChatRequest
from tokenbus_translate.parameters import CHAT_ONLY, RESPONSES_ONLY

JsonObject = dict[str, object]


class Said(NamedTuple):
    """A parameter in a request."""

    path: str
    """Where the caller wrote it: `reasoning_effort`, `reasoning.effort`, `include[1]`."""
    value: str = ""
    """Its value as rules name it; empty where they do not look at it."""
    neutral: bool = False
    """Whether it says only what holds anyway, so that leaving it out changes nothing."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter."""

    name: str
    places: tuple[str, ...]
    """The fields of a request that may hold it, as paths; Responses' spelling last."""
    look: Callable[[ChatRequest], Said | None]
    only: Api | None = None
    """The API that has it; None: both."""
    drop: Callable[[JsonObject], None] | None = None
    """Leaves it out of a body in Responses' words; None: a request without it would be another request."""
    nothing: object = None
    """The value that says nothing."""
    has_values: bool = False
    """Whether rules may allow single values of it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The top-level fields of `places`."""
        return tuple(place.partition(".")[0] for place in self.places)


def _row(
    name: str,
    *spellings: str,
    nothing: object = None,
    only: Api | None = None,
    has_values: bool = False,
    needed: bool = False,
) -> Parameter:
    """A parameter that is a field, or a key of one. `spellings`: if not just its name. `needed`: it is not dropped."""
    places = spellings or (name,)
    paths = [(place, *place.partition(".")[::2]) for place in places]

    def look(request: ChatRequest) -> Said | None:
        for place, field, key in paths:
            value: object = getattr(request, field)
            if key and value is not None:
                value = cast("JsonObject", value).get(key)
            if value is not None:
                word = _word(value) if has_values else ""
                return Said(place, word, (word if has_values else value) == nothing)
        return None

    drop = None if needed else _leave_out(places[-1])
    return Parameter(name, places, look, only, drop, nothing, has_values)


def _word(value: object) -> str:
    """A value as rules name it: a word, or the `type` of an object. (Chat's `function_call` has none.)"""
    return str(cast("JsonObject", value).get("type", "function")) if isinstance(value, dict) else str(value)


def _leave_out(place: str) -> Callable[[JsonObject], None]:
    field, _, key = place.partition(".")

    def drop(body: JsonObject) -> None:
        held = body.pop(field, None)
        if key and isinstance(held, dict):
            rest = {name: value for name, value in cast("JsonObject", held).items() if name != key}
            if rest:
                body[field] = rest

    return drop


def _other_keys(name: str, *, field: str, known: frozenset[str]) -> Parameter:
    """All keys of an object field but those that have rows of their own: the Responses API alone has them."""

    def look(request: ChatRequest) -> Said | None:
        given: JsonObject = getattr(request, field) or {}
        alone = (key for key, value in given.items() if key not in known and value is not None)
        return next((Said(f"{field}.{key}") for key in alone), None)

    def drop(body: JsonObject) -> None:
        held = cast("JsonObject", body.pop(field, None) or {})
        rest = {key: value for key, value in held.items() if key in known}
        if rest:
            body[field] = rest

    return Parameter(name, (field,), look, "responses", drop)


def _look_for_logprobs(request: ChatRequest) -> Said | None:
    for index, entry in enumerate(request.include or ()):
        if entry == LOGPROBS:
            return Said(f"include[{index}]")
    return None if request.logprobs is None else Said("logprobs", neutral=not request.logprobs)


def _look_for_provider_tool(request: ChatRequest) -> Said | None:
    found = request_parts.provider_tool(request)
    return None if found is None else Said(*found)


def _look_for_store(request: ChatRequest) -> Said | None:
    """False says nothing in Chat and much in Responses, and every translation heeds it: no rule is about it."""
    return Said("store") if request.store else None


def _look_for_include(request: ChatRequest) -> Said | None:
    entries = enumerate(request.include or ())
    return next((Said(f"include[{index}]") for index, entry in entries if entry != LOGPROBS), None)


def _keep_of_include(kept: Callable[[object], bool]) -> Callable[[JsonObject], None]:
    def drop(body: JsonObject) -> None:
        entries = [entry for entry in cast("list[object]", body.pop("include", None) or []) if kept(entry)]
        if entries:
            body["include"] = entries

    return drop


def _part(name: str, find: Callable[[ChatRequest], str | None], *fields: str) -> Parameter:
    """A part of tools or input, without which the request would be another one."""

    def look(request: ChatRequest) -> Said | None:
        path = find(request)
        return None if path is None else Said(path)

    return Parameter(name, fields, look)


def _look_for_names(request: ChatRequest) -> Said | None:
    path = request_parts.speaker_name(request)
    return None if path is None else Said(path)


PARAMETERS: Final = (
    # As in table 2 of the product: LiveKit's page on OpenAI models (2026-08-22).
    _row("temperature", nothing=1),
    _row("top_p", nothing=1),
    _row("max_tokens", "max_tokens", "max_completion_tokens", "max_output_tokens", needed=True),
    _row("reasoning_effort", "reasoning_effort", "reasoning.effort", has_values=True),
    *(_row(name, nothing=nothing, only="chat_completions") for name, nothing in CHAT_ONLY.items()),
    Parameter(
        "logprobs",
        ("logprobs", "include"),
        _look_for_logprobs,
        drop=_keep_of_include(lambda entry: entry != LOGPROBS),
        nothing=False,
    ),
    _row("top_logprobs", nothing=0),
    _row("parallel_tool_calls", nothing=True),
    _row("tool_choice", "function_call", "tool_choice", nothing="auto", has_values=True),
    # Output.
    _row("response_format", "response_format", "text.format", nothing="text", has_values=True),
    _row("verbosity", "verbosity", "text.verbosity", has_values=True),
    _other_keys("text_options", field="text", known=frozenset({"format", "verbosity"})),
    _row("reasoning_summary", "reasoning.summary", only="responses"),
    _other_keys("reasoning_options", field="reasoning", known=frozenset({"effort", "summary"})),
    Parameter(
        "include", ("include",), _look_for_include, "responses", _keep_of_include(lambda entry: entry == LOGPROBS)
    ),
    *(
        _row(name, nothing=nothing, only="responses", has_values=isinstance(nothing, str))
        for name, nothing in RESPONSES_ONLY.items()
        if name != "include"
    ),
    # What the provider keeps, and for whom.
    _row("metadata", nothing={}),
    Parameter("store", ("store",), _look_for_store, drop=_leave_out("store")),
    _row("service_tier", nothing="auto", has_values=True),
    _row("safety_identifier"),
    _row("user"),
    _row("prompt_cache_key"),
    _row("prompt_cache_retention", has_values=True),
    _row("prompt_cache_options"),
    # Tools.
    _part("tools", request_parts.function_tool, "functions", "tools"),
    _part("custom_tools", request_parts.custom_tool, "tools"),
    Parameter("provider_tools", ("tools",), _look_for_provider_tool, "responses"),
    _row("web_search_options", needed=True),
)
"""All that are looked for in every request."""

PARTS: Final = (
    _part("images", request_parts.image, "messages", "input"),
    _part("files", request_parts.file, "messages", "input"),
    _part("input_audio", request_parts.audio, "messages", "input"),
    _part("mixed_strict", request_parts.mixed_strict, "tools"),
    Parameter("speaker_names", ("messages", "input"), _look_for_names, drop=request_parts.leave_out_speaker_names),
    _part("out_of_turn", turns.out_of_turn, "messages", "input"),
)
"""What is looked for only where a rule is about it: to find it, all of the input has to be gone through."""

BY_NAME: Final[Mapping[str, Parameter]] = MappingProxyType(
    {parameter.name: parameter for parameter in (*PARAMETERS, *PARTS)}
)
_PARTS: Final = frozenset(parameter.name for parameter in PARTS)


def _by_field() -> Iterator[tuple[str, list[Parameter]]]:
    for field in ChatRequest.model_fields:
        yield field, [parameter for parameter in PARAMETERS if field in parameter.fields]


_BY_FIELD: Final = dict(_by_field())
_ORDER: Final = {parameter.name: number for number, parameter in enumerate(PARAMETERS)}


def said_in(request: ChatRequest) -> dict[str, Said]:
    """The parameters of a request by name, in the order of the rows; `PARTS` are left out."""
    given = {parameter.name: parameter for field in request.model_fields_set for parameter in _BY_FIELD[field]}
    names = given if len(given) < 2 else sorted(given, key=_ORDER.__getitem__)
    said: dict[str, Said] = {}
    for name in names:
        found = given[name].look(request)
        if found is not None:
            said[name] = found
    return said


def said_in_parts(request: ChatRequest, *, names: Iterable[str]) -> Iterator[tuple[str, Said]]:
    """Those of `names` that are in `PARTS` and that the request has."""
    for name in names:
        if name in _PARTS:
            found = BY_NAME[name].look(request)
            if found is not None:
                yield name, found
