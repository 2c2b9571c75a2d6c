"""Tools, tool choice and response format, in both APIs: Chat nests what Responses has flat.

Traps: without `strict`, a tool is strict in Responses and not in Chat, so a chat tool
goes to Responses with `strict: false` written out (langchain #35885); the nested tool choice is a 400 there (open-webui
#30085).
"""

from typing import Final

from tokenbus_translate.json_value import JsonObject, as_object, as_text
from tokenbus_translate.request_errors import need_list, need_object, need_text, unsupported_value

_WEB_SEARCH_KEYS: Final = frozenset({"type", "search_context_size", "user_location"})


def tool_to_responses(tool: JsonObject, path: str) -> JsonObject:
    """A tool of either form as Responses has it; provider tools pass. Raises `RequestError`."""
    kind = need_text(tool.get("type"), f"{path}.type")
    nested = as_object(tool.get(kind))
    if kind == "function" and nested is not None:
        need_text(nested.get("name"), f"{path}.function.name")
        return {"type": "function", **nested, "strict": nested.get("strict") or False}
    if kind == "custom" and nested is not None:
        need_text(nested.get("name"), f"{path}.custom.name")
        format_ = as_object(nested.get("format"))
        if format_ is not None and (grammar := as_object(format_.get("grammar"))) is not None:
            nested = {**nested, "format": {"type": "grammar", **grammar}}
        return {"type": "custom", **nested}
    if kind in {"function", "custom"}:
        need_text(tool.get("name"), f"{path}.name")
    return tool


def tool_to_chat(tool: JsonObject, path: str) -> JsonObject:
    """A function or custom tool as Chat has it. Raises `RequestError` for a provider tool, by name."""
    kind = need_text(tool.get("type"), f"{path}.type")
    flat = {name: value for name, value in tool.items() if name != "type" and value is not None}
    if kind == "function":
        return {"type": "function", "function": _without(flat, name="strict", unless=True)}
    if kind == "custom":
        format_ = as_object(flat.get("format"))
        if format_ is not None and format_.get("type") == "grammar":
            grammar = {name: value for name, value in format_.items() if name != "type"}
            flat["format"] = {"type": "grammar", "grammar": grammar}
        return {"type": "custom", "custom": flat}
    raise unsupported_value(
        f"{path}.type", f"{kind} is a tool of the Responses API; use a target with that API or remove the tool"
    )


def choice_to_responses(choice: object, path: str) -> object:
    """A tool choice of either form as Responses has it. Raises `RequestError`."""
    chosen = as_object(choice)
    if chosen is None:
        return need_text(choice, path)
    kind = need_text(chosen.get("type"), f"{path}.type")
    nested = as_object(chosen.get(kind))
    if nested is None:
        return chosen
    if kind == "allowed_tools":
        return {"type": kind, **nested, "tools": [_flat_name(tool) for tool in _tools_of(nested, f"{path}.{kind}")]}
    return {"type": kind, "name": need_text(nested.get("name"), f"{path}.{kind}.name")}


def choice_to_chat(choice: object, path: str) -> object:
    """A tool choice as Chat has it. Raises `RequestError` for the choice of a provider tool."""
    chosen = as_object(choice)
    if chosen is None:
        return need_text(choice, path)
    kind = need_text(chosen.get("type"), f"{path}.type")
    if kind in {"function", "custom"}:
        return {"type": kind, kind: {"name": need_text(chosen.get("name"), f"{path}.name")}}
    if kind == "allowed_tools":
        tools = [
            {"type": tool.get("type"), str(tool.get("type")): {"name": tool.get("name")}}
            for tool in _tools_of(chosen, path)
        ]
        return {"type": kind, kind: {"mode": chosen.get("mode") or "auto", "tools": tools}}
    raise unsupported_value(f"{path}.type", f"{kind} is a choice of the Responses API; use a target with that API")


def function_choice(choice: object, path: str) -> object:
    """The deprecated `function_call` parameter as a tool choice. Raises `RequestError`."""
    named = as_object(choice)
    if named is None:
        return need_text(choice, path)
    return {"type": "function", "name": need_text(named.get("name"), f"{path}.name")}


def format_to_responses(response_format: object, path: str) -> JsonObject:
    """`response_format` as `text.format`. Raises `RequestError`."""
    wanted = need_object(response_format, path)
    if wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", **need_object(wanted.get("json_schema"), f"{path}.json_schema")}


def format_to_chat(text_format: object, path: str) -> JsonObject:
    """`text.format` as `response_format`. Raises `RequestError`."""
    wanted = need_object(text_format, path)
    if wanted.get("type") != "json_schema":
        return wanted
    schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": schema}


def web_search_tool(options: object, path: str) -> JsonObject:
    """`web_search_options` as a tool. Raises `RequestError`."""
    wanted = dict(need_object(options, path))
    location = as_object(wanted.get("user_location"))
    if location is not None and (approximate := as_object(location.get("approximate"))) is not None:
        wanted["user_location"] = {"type": "approximate", **approximate}
    return {"type": "web_search", **wanted}


def web_search_options(tool: JsonObject) -> JsonObject | None:
    """The inverse of `web_search_tool`; None for any tool that Chat's parameter can't say."""
    if tool.get("type") != "web_search" or not tool.keys() <= _WEB_SEARCH_KEYS:
        return None
    wanted = {name: value for name, value in tool.items() if name != "type" and value is not None}
    if (location := as_object(wanted.get("user_location"))) is not None:
        place = {name: value for name, value in location.items() if name != "type" and value is not None}
        wanted["user_location"] = {"type": "approximate", "approximate": place}
    return wanted


def _tools_of(choice: JsonObject, path: str) -> list[JsonObject]:
    tools = need_list(choice.get("tools"), f"{path}.tools")
    return [need_object(tool, f"{path}.tools[{index}]") for index, tool in enumerate(tools)]


def _flat_name(tool: JsonObject) -> JsonObject:
    kind = as_text(tool.get("type")) or ""
    nested = as_object(tool.get(kind))
    return tool if nested is None else {"type": kind, "name": nested.get("name")}


def _without(fields: JsonObject, *, name: str, unless: object) -> JsonObject:
    return {key: value for key, value in fields.items() if key != name or value is unless}
