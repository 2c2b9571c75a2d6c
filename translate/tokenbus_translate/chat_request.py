"""Chat requests, both ways: any accepted spelling → an Open Responses body, and such a body → Chat Completions.

The body between the two is what the bus carries: Responses where both APIs can say it, and chat-only parameters as they
are. Every refusal names the place in the body that it was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tokenbus_translate.chat_messages import to_messages
from tokenbus_translate.json_value import JsonObject, as_list, as_object
from tokenbus_translate.messages import to_items
from tokenbus_translate.parameters import CHAT_ONLY, LOGPROBS, RESPONSES_ONLY, SHARED, SPELLINGS
from tokenbus_translate.request_errors import need_list, need_object, said_twice, unsupported_parameter
from tokenbus_translate.tools import (
    choice_to_chat,
    choice_to_responses,
    function_choice,
    tool_to_chat,
    tool_to_responses,
    web_search_options,
    web_search_tool,
)

_WITHOUT_EFFECT: Final = frozenset({"stream", "stream_options"})
_READ: Final = frozenset(
    {"messages", "tools", "tool_choice", "functions", "function_call", "web_search_options", "logprobs", "include"}
) | {spelling.chat for spelling in SPELLINGS}
_OPTIONS: Final = ("reasoning", "text")
"""Objects whose keys are parameters."""
_SAID_IN_CHAT: Final = frozenset({"effort", "verbosity", "format"})


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """How a Chat Completions server differs from OpenAI's."""

    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None
    """Where it wants the reasoning of earlier assistant messages back; None: it must not be sent."""
    developer_role: Literal["developer", "system"] = "developer"
    stream_options: Mapping[str, object] = field(default_factory=lambda: {"include_usage": True})
    """Empty: none are sent."""


def to_responses(body: Mapping[str, object]) -> JsonObject:
    """The request in Open Responses' words, chat-only parameters kept.

    Null is absent. A request in chat messages is not stored unless it says so, as in Chat Completions. Raises
    `RequestError` naming the parameter that contradicts another or can not be read.
    """
    given = {name: value for name, value in body.items() if value is not None and name not in _WITHOUT_EFFECT}
    said = {name: value for name, value in given.items() if name not in _READ}
    for spelling in SPELLINGS:
        if spelling.chat in given:
            value = spelling.read(given[spelling.chat], spelling.chat)
            _put(said, spelling.responses, value, spelling.chat)
    for name in _OPTIONS:
        if (options := as_object(said.get(name))) is not None:
            said[name] = {key: value for key, value in options.items() if value is not None}
            if not said[name]:
                del said[name]
    if "messages" in given:
        said["input"] = to_items(given["messages"])
        said.setdefault("store", False)
    if tools := _tools(given):
        said["tools"] = tools
    elif "tools" in given:
        said["tools"] = []
    if (choice := _tool_choice(given)) is not None:
        said["tool_choice"] = choice
    include = need_list(given.get("include", []), "include")
    if given.get("logprobs") is True and LOGPROBS not in include:
        include = [*include, LOGPROBS]
    if include:
        said["include"] = include
    return said


def to_chat(body: Mapping[str, object], *, model: str, dialect: ChatDialect | None = None) -> JsonObject:
    """The Chat Completions request, streamed, for a body of `to_responses`; `model` is the upstream's name.

    Raises `RequestError` naming what Chat Completions can not say.
    """
    dialect = dialect or ChatDialect()
    given = {name: value for name, value in body.items() if value is not None}
    messages = to_messages(
        given.get("input"),
        instructions=given.get("instructions"),
        reasoning_field=dialect.reasoning_field,
        developer_role=dialect.developer_role,
    )
    chat: JsonObject = {"model": model, "messages": messages, "stream": True}
    if dialect.stream_options:
        chat["stream_options"] = dict(dialect.stream_options)
    chat |= {name: given[name] for name in (*SHARED, *CHAT_ONLY) if name in given}
    if chat.get("store") is False:
        del chat["store"]  # Chat's default, which compatible servers need not know
    for spelling in SPELLINGS:
        name = dialect.max_tokens_name if spelling.responses == ("max_output_tokens",) else spelling.chat
        if (value := _get(given, spelling.responses)) is not None:
            chat[name] = spelling.write(value, ".".join(spelling.responses))
    _refuse_unsayable(given)
    if LOGPROBS in as_list(given.get("include")):
        chat["logprobs"] = True
    _add_tools(chat, given)
    return chat


def _put(said: JsonObject, path: tuple[str, ...], value: object, spelled: str) -> None:
    """Set `value` at `path` unless something else stands there."""
    *parents, name = path
    place = said
    for parent in parents:
        child = dict(need_object(place.get(parent, {}), parent))
        place[parent] = child
        place = child
    if place.get(name) is None:
        place[name] = value
    elif place[name] != value:
        raise said_twice(spelled, "another name of the same limit" if len(path) == 1 else ".".join(path))


def _get(given: JsonObject, path: tuple[str, ...]) -> object:
    value: object = given
    for name in path:
        value = (as_object(value) or {}).get(name)
    return value


def _tools(given: JsonObject) -> list[JsonObject]:
    raw = need_list(given.get("tools", []), "tools")
    tools = [tool_to_responses(need_object(tool, f"tools[{i}]"), f"tools[{i}]") for i, tool in enumerate(raw)]
    for index, function in enumerate(need_list(given.get("functions", []), "functions")):
        path = f"functions[{index}]"
        tools.append(tool_to_responses({"type": "function", "function": need_object(function, path)}, path))
    if "web_search_options" in given:
        tools.append(web_search_tool(given["web_search_options"], "web_search_options"))
    return tools


def _tool_choice(given: JsonObject) -> object:
    choice = choice_to_responses(given["tool_choice"], "tool_choice") if "tool_choice" in given else None
    if "function_call" not in given:
        return choice
    called = function_choice(given["function_call"], "function_call")
    if choice is not None and choice != called:
        raise said_twice("function_call", "tool_choice")
    return called


def _add_tools(chat: JsonObject, given: JsonObject) -> None:
    tools: list[JsonObject] = []
    for index, raw in enumerate(need_list(given.get("tools", []), "tools")):
        tool = need_object(raw, f"tools[{index}]")
        search = web_search_options(tool)
        if search is None:
            tools.append(tool_to_chat(tool, f"tools[{index}]"))
        else:
            chat["web_search_options"] = search
    if tools:
        chat["tools"] = tools
        if "tool_choice" in given:
            chat["tool_choice"] = choice_to_chat(given["tool_choice"], "tool_choice")
        return
    # Without tools Chat refuses both; that these values say nothing then is what Responses takes them for.
    chat.pop("parallel_tool_calls", None)
    if given.get("tool_choice", "auto") not in ("auto", "none"):
        chat["tool_choice"] = choice_to_chat(given["tool_choice"], "tool_choice")


def _refuse_unsayable(given: JsonObject) -> None:
    for name, nothing in RESPONSES_ONLY.items():
        value = given.get(name, nothing)
        if name == "include":
            value = [entry for entry in as_list(value) if entry != LOGPROBS]
        if value != nothing:
            raise unsupported_parameter(
                name, "Chat Completions has no such parameter; remove it or use a target with the Responses API"
            )
    for name in ("reasoning", "text"):
        for key, value in (as_object(given.get(name)) or {}).items():
            if key not in _SAID_IN_CHAT and value is not None:
                raise unsupported_parameter(
                    f"{name}.{key}", "Chat Completions has no such parameter; remove it or use the Responses API"
                )
